//! Values and rules: an article as readers see it, the merged order of several sections, readings, and the
//! composition of the front page. Pure: no I/O.

mod article;
mod corrections;
mod cursor;
mod desk;
mod home;
mod list;
mod live;
mod merge;
mod past;
mod proof;
mod reading;

pub use article::{Article, Correction, Retraction, State};
pub use corrections::{
    ArticleCorrection, CorrectionCursor, CorrectionFilter, CorrectionPosition, CorrectionSlice,
};
pub use cursor::{Cursor, Direction, InvalidCursor, ListFingerprint};
pub use desk::{Desk, DeskGroup, SectionDesk, StateCount};
pub use home::{FrontPage, MAX_BLOCK, MAX_FOR_YOU, MAX_TOP, SectionBlock, Suggestion, Taste, for_you};
pub use list::{Filter, ListSlice, Order, Position, Scope, Start};
pub use live::{Headline, LiveEvent, LiveKind};
pub use merge::{ArticleBatch, Merged, SectionList, SectionPositions, merge, widen};
pub use past::{DiffOp, DiffPart, History, HistoryEntry};
pub use proof::{Proof, ProofLink, ProofSlice};
pub use reading::Reading;
