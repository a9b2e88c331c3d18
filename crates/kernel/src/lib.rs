#![doc = include_str!("../README.md")]

mod fault;
mod form;
mod id;
mod identity;
mod label;
mod page;
mod random;
mod section;
mod text;
mod time;
mod trace;
mod version;

pub use fault::{Class, Code, Fault, FieldFault, Kind, MAX_ECHO, MAX_FAULTS, Refusal};
pub use form::{cut, fold_case, is_ignorable, is_mark, is_visible, is_word, match_key, nfc};
pub use id::{ArticleId, Ids, MessageId, NotAnId, SessionId, TimeOrderedIds, UserId};
pub use identity::{Identity, Role, Sections, UnknownRole};
pub use label::{Label, MatchedLabel};
pub use page::{MAX_LIMIT, MAX_PAGE_TEXT, MAX_REACH, Page, PageError, texts_that_fit};
pub use random::random_hex;
pub use section::{Section, UnknownSection};
pub use text::{TextError, clip, line, multiline};
pub use time::{Clock, Deadline, ManualClock, NotATime, SystemClock, Timestamp};
pub use trace::{NotATrace, Trace};
pub use version::{Expected, NotAVersion, Version};
