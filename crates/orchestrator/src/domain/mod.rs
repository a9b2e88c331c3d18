//! Values and rules: an article as readers see it, the one order of several sections, what counts as a reading, how a front page
//! is put together.
//! Pure; nothing here waits.

mod article;
mod cursor;
mod home;
mod list;
mod merge;
mod past;
mod reading;

pub use article::{Article, Correction, State};
pub use cursor::{BadCursor, Cursor, Fingerprint, Toward};
pub use home::{BLOCK, Block, FOR_YOU, Front, Suggestion, TOP, Taste, for_you};
pub use list::{Filter, Order, Part, Position, Scope, Start};
pub use merge::{Merged, Picked, SectionList, SectionPositions, merge, share};
pub use past::{DiffOp, DiffPart, History, Step};
pub use reading::Reading;
