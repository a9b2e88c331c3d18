//! Stores: SQLite and PostgreSQL, their failures, time limits, and the duty to erase a person.

mod columns;
mod erasure;
mod failure;
mod opened;
mod pool;
#[cfg(feature = "servers")]
pub mod postgres;
pub mod sqlite;
mod time_limit;

pub use columns::{StoredTime, StoredVersion};
pub use erasure::{Erasable, SqliteErasure, enqueue_erasure};
#[cfg(feature = "servers")]
pub use erasure::{PostgresErasure, owe_postgres};
pub use failure::StoreFailure;
pub use opened::OpenedStore;
pub use time_limit::in_time;
