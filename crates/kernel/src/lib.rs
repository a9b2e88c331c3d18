#![doc = include_str!("../README.md")]

mod fault;
mod id;
mod identity;
mod page;
mod section;
mod text;
mod time;
mod trace;
mod version;

pub use fault::{Code, Fault, FieldFault, Kind, MAX_ECHO, MAX_FAULTS, Refusal};
pub use id::{ArticleId, Ids, MessageId, NotAnId, SessionId, TimeOrderedIds, UserId};
pub use identity::{Identity, Role, Sections, UnknownRole};
pub use page::{MAX_LIMIT, MAX_PAGE_TEXT, MAX_REACH, Page, PageError, texts_that_fit};
pub use section::{Section, UnknownSection};
pub use text::{Label, TextError, clip, line, multiline};
pub use time::{Clock, Deadline, ManualClock, NotATime, SystemClock, Timestamp};
pub use trace::{NotATrace, Trace};
pub use version::{Expected, NotAVersion, Version};
