//! `portal healthcheck URL`: the same question that an orchestrator of containers asks.

use std::time::Duration;

/// Asks `URL/readyz` (or the URL itself, where it names a path) and says what the answer was.
///
/// # Errors
/// Where nobody answers within three seconds, or the answer is no 2xx.
pub async fn check(url: &str) -> anyhow::Result<()> {
    let address: reqwest::Url = url.parse().map_err(|error| anyhow::anyhow!("{url} is no URL: {error}"))?;
    let address = if address.path() == "/" { address.join("/readyz")? } else { address };
    let client = chassis::own_client(Duration::from_secs(3))?;
    let response = client.get(address.clone()).send().await?;
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    anyhow::ensure!(status.is_success(), "{address} answered {status}: {body}");
    chassis::say(format_args!("{address} answered {status}"));
    Ok(())
}
