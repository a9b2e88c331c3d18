#![doc = include_str!("../README.md")]

mod app;
mod clients;
mod config;
mod consumers;
mod domain;
mod grpc;
mod http;
pub mod metrics;
mod ports;
mod store;
mod workers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::{Bus, Erasing, MakeReceipt, Relay};
use chassis::{Closer, Dependency, Described, Service, Surroundings, Verifier, Worker};
use kernel::{Fault as _, Kind, MessageId};
use proto::users::v1::users_server::{SERVICE_NAME, UsersServer};
use tonic::service::Routes;

pub use app::{App, CreateAdmin, Register, UserError};
pub use config::{BootstrapAdminConfig, Config};
pub use domain::{Consent, ConsentChoice, Email, Name, Origin, Password, User};

use app::{FirstAdmin, Parts, Passwords, Tokens};

/// The service's name, as in queues, logs and configuration.
pub const NAME: &str = "users";

/// Builds the service: opens its stores, and creates the signing key and the first admin if there are none.
/// It starts nothing.
///
/// # Errors
/// If a store can't be opened, or the configuration is wrong. Each error names the key.
pub async fn build(config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    // The verifier comes first, because it may refuse the configuration; the next step creates files.
    let verifier = Verifier::new(&config.identity, &surroundings)?;
    let OpenedUsers { app, bus, workers, dependencies, closers } = open(&config, &surroundings).await?;
    create_first_admin(&app, &config).await?;

    let Config { public_base, older_base, identity, .. } = &config;
    let (router, doc) = http::router(app.clone(), verifier, public_base, older_base, &identity.issuer)?;
    let routes = Routes::new(UsersServer::new(grpc::UsersGrpc(app.clone())));
    let routes = surroundings.serve_grpc(NAME, routes, &config.grpc);
    surroundings.register_http(NAME, router.clone());
    let consumers = consumers::subscribe(&*bus, app.clone()).await?;
    Ok(Service {
        name: NAME,
        http: router,
        doc,
        grpc: Some(routes),
        metrics: [metrics::described(), bus::metrics::described()].concat(),
        grpc_described: Some(Described { names: &[SERVICE_NAME], descriptor: proto::DESCRIPTOR }),
        consumers,
        workers,
        health: dependencies.into_iter().chain([bus::dependency(&bus)]).collect(),
        closers,
    })
}

/// The accounts without their service, for `portal seed` and `portal admin create`.
pub struct OpenedUsers {
    /// The use cases.
    pub app: Arc<App>,
    /// The bus that events are published to.
    pub bus: Arc<dyn Bus>,
    /// The workers that move registrations into the store and publish messages. The caller of [`open`] runs
    /// them.
    pub workers: Vec<Arc<dyn Worker>>,
    /// The probes of the stores for `/readyz`.
    pub dependencies: Vec<Dependency>,
    /// Close the stores.
    pub closers: Vec<Closer>,
}

/// Opens the stores of the accounts and the signing key, without the service around them.
///
/// # Errors
/// If a store can't be opened. Each error names the key of the configuration.
pub async fn open(config: &Config, surroundings: &Surroundings) -> anyhow::Result<OpenedUsers> {
    let bus::OpenBus { bus, closers } =
        bus::open(config.bus.url.expose(), surroundings).await.context("bus.url")?;
    let store::OpenedAccounts { store, audit, erasures, exports } =
        store::open_store(&config.store.url).await?;
    let intake = store::open_intake(&config.intake.url, surroundings.clock.clone()).await?;
    let cache_life = Duration::from_secs(config.cache.ttl_seconds);
    let cache = store::open_cache(&config.cache.url, config.cache.capacity, cache_life)?;
    let keys = store::open_keys(Path::new(&config.signing.key_file))?;
    let app = Arc::new(App::new(Parts {
        store: store.port,
        audit,
        erasures,
        exports,
        sources: Arc::new(clients::BusExportSources(bus.clone())),
        audit_life: config.audit.life(),
        intake: intake.port,
        cache: cache.port,
        passwords: Passwords::new(&config.passwords)?,
        tokens: Tokens::new(keys, config.identity.issuer.clone()),
        sessions: config.sessions.rules(),
        throttle: config.throttle,
        clock: surroundings.clock.clone(),
        ids: surroundings.ids.clone(),
    }));
    if let Err(error) = app.learn_costs().await {
        tracing::debug!(cause = chassis::causes(&error), "the costs of stored hashes are read later");
    }
    let workers: Vec<Arc<dyn Worker>> = vec![
        Arc::new(workers::IntakeWorker::new(app.clone())),
        Arc::new(Relay::new(store.outbox, bus.clone())),
        Arc::new(workers::forget_answers(app.clone())),
        Arc::new(workers::delete_audit_entries(app.clone())),
        Arc::new(workers::delete_export_parts(app.clone())),
        Arc::new(workers::CostsWorker::new(app.clone())),
        Arc::new(workers::ErasureWatch::new(app.clone())),
        Arc::new(Erasing::new(
            "users.erasures",
            [store.erasures, intake.erasures].concat(),
            bus.clone(),
            make_receipt(surroundings),
        )),
    ];
    let dependencies = [store.dependencies, intake.dependencies, cache.dependencies].concat();
    let closers = store.closers.into_iter().chain(intake.closers).chain(closers).collect();
    Ok(OpenedUsers { app, bus, workers, dependencies, closers })
}

/// Returns what makes the receipts of this service for erasures.
fn make_receipt(surroundings: &Surroundings) -> MakeReceipt {
    let (clock, ids) = (surroundings.clock.clone(), surroundings.ids.clone());
    Arc::new(move |person| store::erasure_receipt(MessageId::new(ids.next()), person, clock.now()))
}

/// The most attempts to create the first admin while the store is unavailable.
const FIRST_ADMIN_RETRIES: u32 = 10;
/// The pause after the first attempt; each further pause is longer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(2);

async fn create_first_admin(app: &App, config: &Config) -> anyhow::Result<()> {
    let Some((email, password)) = config.bootstrap_admin.credentials() else { return Ok(()) };
    let email = Email::parse(email).context("bootstrap_admin.email")?;
    let password = Password::parse(password).context("bootstrap_admin.password")?;
    let mut failures = 0;
    let created = loop {
        let command = FirstAdmin { email: email.clone(), password: password.clone() };
        match app.ensure_first_admin(command).await {
            // A server that has just started, with all services connecting, may be too slow for the first
            // query.
            Err(error) if error.kind() == Kind::Unavailable && failures < FIRST_ADMIN_RETRIES => {
                failures += 1;
            }
            outcome => break outcome.context("bootstrap_admin.email")?,
        }
        chassis::pause(chassis::back_off(failures, FIRST_PAUSE, MAX_PAUSE)).await;
    };
    if created {
        tracing::info!("the first admin was created from bootstrap_admin");
    }
    Ok(())
}
