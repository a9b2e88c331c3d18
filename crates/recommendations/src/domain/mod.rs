//! What a reader likes, and what of their reading may count. Pure: no I/O, no wire formats.

mod consent;
mod reading;
mod taste;

pub use consent::{Consent, ConsentRecord, Standing};
pub use reading::{
    KEPT, MAX_LABELS, Reading, ReadingFault, Recount, SKEW, Visit, WINDOW, minute_of, recount,
};
pub use taste::{HALF_LIFE, Taste};
