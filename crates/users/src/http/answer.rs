//! How answers say what they are a version of and who may keep them: as everywhere in the portal.

pub use chassis::http::{Cache, fresh, private, tagged};
