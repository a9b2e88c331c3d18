//! `portal healthcheck URL`: the readiness check for a container orchestrator.

use std::time::Duration;

use anyhow::Context;

/// Requests `URL/readyz` (or the URL itself, if it has a path) and prints the status.
///
/// # Errors
/// Fails if there is no answer within three seconds, or if the status is not 2xx.
pub async fn check(url: &str) -> anyhow::Result<()> {
    let address: reqwest::Url =
        url.parse().map_err(|_| anyhow::anyhow!("{url} is not a URL: write it as http://127.0.0.1:8080"))?;
    let address = if address.path() == "/" { address.join("/readyz")? } else { address };
    let client = chassis::own_client(Duration::from_secs(3))?;
    let response = client.get(address.clone()).send().await;
    let response = response.with_context(|| format!("{address} does not answer; is the portal running?"))?;
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    anyhow::ensure!(status.is_success(), "{address} answered {status}: {body}");
    chassis::say(format_args!("{address} answered {status}"));
    Ok(())
}
