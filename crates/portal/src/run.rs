//! `portal run`: every service in one process.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use chassis::config::Loaded;
use chassis::{Host, Internal, Service, Surroundings, print_in_background, spawn, stop_signal, telemetry};
use kernel::Section;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Serving};
use crate::first_admin::{self, FirstAdmin};
use crate::{data_folder, gateway, whole};

/// Serves until the process receives a stop signal.
///
/// # Errors
/// Fails if the configuration is not valid, the address or the data folder is in use, or a store can't be
/// opened.
pub async fn run(flags: &Serving) -> anyhow::Result<()> {
    let settings = config::load_serving(flags, None)?.process;
    let _log = telemetry::start("portal", &settings.log, settings.log_format)?;
    let listener = TcpListener::bind(&settings.listen)
        .await
        .with_context(|| format!("can't listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let mut loaded = config::load_serving(flags, Some(&address.to_string()))?;
    let data = loaded.service.data_dir.clone();
    let _lock = data_folder::hold(&data)?;
    whole::ensure_complete(&loaded.service)?;
    let admin = first_admin::provide(&mut loaded.service.users, &data)?;
    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    spawn("portal.signals", async move {
        stop_signal().await;
        on_signal.cancel();
    });
    serve(loaded, listener, stop, |address| print_in_background(greeting(address, &data, &admin))).await
}

/// Builds the services and serves them on `listener` until `stop` is cancelled.
///
/// # Errors
/// Fails if a store can't be opened.
pub async fn serve(
    loaded: Loaded<Config>,
    listener: TcpListener,
    stop: CancellationToken,
    on_ready: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let services = build(loaded.service, &Surroundings::one_process()).await?;
    let router = gateway::router(&services)?;
    let internal = match loaded.process.internal_listen.as_str() {
        "" => Internal::Disabled,
        address => Internal::Separate(
            TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?,
        ),
    };
    let host =
        Host { name: "portal", services, process: loaded.process, fingerprint: loaded.fingerprint, internal };
    host.run(listener, router, None, stop, on_ready).await
}

/// Builds every service.
///
/// # Errors
/// Fails if a store can't be opened.
pub async fn build(config: Config, surroundings: &Surroundings) -> anyhow::Result<Vec<Service>> {
    let section = |section, config| news::build(section, config, surroundings.clone());
    Ok(vec![
        users::build(config.users, surroundings.clone()).await.context("users")?,
        section(Section::Famous, config.famous_news).await.context("famous-news")?,
        section(Section::Politics, config.politics_news).await.context("politics-news")?,
        section(Section::Sports, config.sports_news).await.context("sports-news")?,
        orchestrator::build(config.orchestrator, surroundings.clone()).await.context("orchestrator")?,
        recommendations::build(config.recommendations, surroundings.clone())
            .await
            .context("recommendations")?,
    ])
}

/// Returns the greeting for the terminal: address, shape, services and login.
fn greeting(address: SocketAddr, data: &Path, admin: &FirstAdmin) -> String {
    let mut lines = vec![
        format!("portal ready at http://{address}"),
        format!("  shape     one process, embedded stores in {}", data.display()),
        "  services  users, famous-news, politics-news, sports-news, orchestrator, recommendations"
            .to_owned(),
        format!("  try       curl http://{address}/news/v1/home"),
        format!("            http://{address}/docs/ in a browser"),
    ];
    let email = first_admin::EMAIL;
    match admin {
        FirstAdmin::Configured => lines.push("  admin     as configured in users.bootstrap_admin".to_owned()),
        FirstAdmin::NotNeeded => lines.push("  admin     the accounts of this portal".to_owned()),
        FirstAdmin::FromEarlierStart(path) => {
            lines.push(format!("  admin     {email}, password in {} unless you changed it", path.display()));
        }
        FirstAdmin::Created(path) => {
            lines.push(format!("  admin     {email}, password in {}", path.display()));
            if std::io::stdout().is_terminal()
                && let Ok(password) = std::fs::read_to_string(path)
            {
                lines.push(format!("            {}", password.trim()));
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
