//! The rules: which readings count, and how much a reader likes a label. Pure: no I/O, no message formats.

mod consent;
mod reading;
mod taste;

pub use consent::{Consent, ConsentRecord, ReaderStatus};
pub use reading::{
    COUNT_WINDOW, MAX_LATENESS, Reading, ReadingFault, Recount, Visit, VisitKey, minute_of, recount,
};
#[cfg(test)]
pub use taste::HALF_LIFE;
pub use taste::Taste;
