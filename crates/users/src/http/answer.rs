//! Entity tags and `Cache-Control`, as everywhere in the portal.

pub use chassis::http::{Cache, fresh, private, tagged};
