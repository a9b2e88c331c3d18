#![doc = include_str!("../README.md")]

pub mod access;
mod engines;
mod fleet;
pub mod gateway;
mod instance;
pub mod memory;
mod plan;
mod proof;
mod seed;
mod stores;
mod turn;
mod world;
mod writers;

use std::path::PathBuf;

pub use engines::Engine;
pub use fleet::Fleet;
pub use instance::SERVICES;
pub use plan::ADMIN;
pub use proof::verify_proof;
pub use seed::Seeded;
pub use world::{
    Account, PASSWORD, Shape, UNTHROTTLED, World, forget_store, login, register, text_of, try_register,
};
pub use writers::{Ledger, Writers};

/// Returns the path of a file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Returns the text of a file of the repository.
///
/// # Panics
/// If it can't be read.
#[track_caller]
pub fn text(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Defines tests for scenarios. Each is written once, as `async fn name(shape: Shape)`, and listed here. One
/// that is not listed is dead code and does not compile. A scenario that has no meaning in one of the shapes
/// says why.
///
/// ```ignore
/// scenarios! {
///     on both shapes: one_thing_happens, another_happens;
///     on one process, because "only there are files": the_files_are_private;
///     on the fleet, because "there is one of each": a_second_replica_helps;
/// }
/// ```
#[macro_export]
macro_rules! scenarios {
    (
        $(on both shapes: $($both:ident),+;)?
        $(on one process, because $why_one:literal: $($one:ident),+;)*
        $(on the fleet, because $why_fleet:literal: $($fleet:ident),+;)*
    ) => {
        mod one_process {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $both() {
                    super::$both($crate::Shape::OneProcess).await;
                }
            )+)?
            $($(
                #[doc = $why_one]
                #[tokio::test(flavor = "multi_thread")]
                async fn $one() {
                    super::$one($crate::Shape::OneProcess).await;
                }
            )+)*
        }
        mod the_fleet {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs the fleet's servers"]
                async fn $both() {
                    super::$both($crate::Shape::Fleet).await;
                }
            )+)?
            $($(
                #[doc = $why_fleet]
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs the fleet's servers"]
                async fn $fleet() {
                    super::$fleet($crate::Shape::Fleet).await;
                }
            )+)*
        }
    };
}
