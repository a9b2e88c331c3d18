//! Values and rules: an article as readers see it, the one order of several sections, what counts as a reading.
//! Pure; nothing here waits.

mod article;
mod merge;
mod reading;

pub use article::{Article, Change, Correction, Fields, Patch, State};
pub use merge::{Merged, SectionList, merge};
pub use reading::Reading;
