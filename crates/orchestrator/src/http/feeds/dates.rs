//! The forms of a moment in feeds and headers.

use chrono::{DateTime, Utc};
use kernel::Timestamp;

/// A moment of chrono.
pub(super) type Moment = DateTime<Utc>;

/// Converts a moment. One outside of the years that chrono knows becomes the epoch.
pub(super) fn moment(at: Timestamp) -> Moment {
    DateTime::from_timestamp_millis(at.millis()).unwrap_or_default()
}

/// Writes a moment for RSS (RFC 2822), such as `Sat, 28 Nov 2026 10:00:00 +0000`.
pub(super) fn rfc_2822(at: Timestamp) -> String {
    moment(at).to_rfc2822()
}

/// Writes a moment for JSON Feed (RFC 3339).
pub(super) fn rfc_3339(at: Timestamp) -> String {
    at.to_string()
}
