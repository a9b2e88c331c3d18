use std::time::Duration;

/// Creates a client for calls between our own processes, with a time limit for each whole call.
///
/// It ignores variables such as `http_proxy`: the key set or the health must come from the process at that
/// address, and not from something in between.
///
/// # Errors
/// If the system can't provide what TLS needs.
#[expect(clippy::disallowed_methods, reason = "this is the one place that creates clients")]
pub fn own_client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(limit).build()
}
