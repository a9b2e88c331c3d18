use std::time::Duration;

/// Makes a client for calls between our own processes, with a limit for each whole call. It ignores `http_proxy` and its like: what is
/// asked for a key set, or for its health, must be the process at that address and nothing in between.
///
/// # Errors
/// If the system can't provide what TLS needs.
#[allow(clippy::disallowed_methods, reason = "this is the one place that makes clients")]
pub fn own_client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(limit).build()
}
