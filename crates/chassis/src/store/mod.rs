//! Stores: SQLite and PostgreSQL, their failures, time limits, and the duty to erase a person.

mod erasure;
mod failure;
mod opened;
mod pool;
pub mod postgres;
pub mod sqlite;
mod time_limit;

pub use erasure::{Erasable, PostgresErasure, SqliteErasure, owe_postgres, owe_sqlite};
pub use failure::StoreFailure;
pub use opened::OpenedStore;
pub use time_limit::in_time;
