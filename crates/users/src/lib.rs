#![doc = include_str!("../README.md")]

mod app;
mod config;
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
use bus::{Bus, Erasing, Relay};
use chassis::{Closer, Dependency, Described, Service, Surroundings, Verifier, Worker};
use kernel::{Fault as _, Kind};
use proto::users::v1::users_server::{SERVICE_NAME, UsersServer};
use tonic::service::Routes;

pub use app::{App, CreateAdmin, Register, UserError};
pub use config::{BootstrapAdmin, Config};
pub use domain::{Choice, Consent, Email, Name, Password, User};

use app::{FirstAdmin, Passwords, Tokens};

/// The service's name, as in queues, logs and configuration.
const NAME: &str = "users";

/// Builds the service: opens its stores, makes the signing key and the first admin where there is none, and nothing more.
///
/// # Errors
/// Where a store can't be opened, or the configuration names what is not there; each says which key.
pub async fn build(config: Config, surroundings: Surroundings) -> anyhow::Result<Service> {
    // First what may be refused here, then what leaves files behind.
    let verifier = Verifier::new(&config.identity, &surroundings)?;
    let Opened { app, bus, workers, closers } = open(&config, &surroundings).await?;
    make_first_admin(&app, &config).await?;

    let Config { public_base, older_base, identity, .. } = &config;
    let (router, doc) = http::router(app.clone(), verifier, public_base, older_base, &identity.issuer);
    let routes = Routes::new(UsersServer::new(grpc::UsersGrpc(app.clone())));
    let routes = surroundings.serve_grpc(NAME, routes, &config.grpc);
    surroundings.register_http(NAME, router.clone());
    Ok(Service {
        name: NAME,
        http: router,
        doc,
        grpc: Some(routes),
        metrics: [metrics::described(), bus::metrics::described()].concat(),
        grpc_described: Some(Described { names: &[SERVICE_NAME], descriptor: proto::DESCRIPTOR }),
        consumers: Vec::new(),
        workers,
        health: dependencies(&app, &bus),
        closers,
    })
}

/// The accounts without their service: what `portal seed` and `portal admin create` work with.
pub struct Opened {
    /// The use cases.
    pub app: Arc<App>,
    /// Where facts are told.
    pub bus: Arc<dyn Bus>,
    /// What brings registrations into the store and facts to the bus; whoever opened them drives them.
    pub workers: Vec<Arc<dyn Worker>>,
    /// How the stores are closed.
    pub closers: Vec<Closer>,
}

/// Opens the stores of the accounts, and the signing key, without the service around them.
///
/// # Errors
/// Where a store can't be opened; each says which key of the configuration.
pub async fn open(config: &Config, surroundings: &Surroundings) -> anyhow::Result<Opened> {
    let bus::OpenBus { bus, closers } =
        bus::open(config.bus.url.expose(), surroundings).await.context("bus.url")?;
    let opened = store::open_store(&config.store.url).await?;
    let (intake, intake_closer) = store::open_intake(&config.intake.url, surroundings.clock.clone()).await?;
    let keys = store::open_keys(Path::new(&config.signing.key_file))?;
    let app = Arc::new(App {
        store: opened.store,
        intake,
        cache: store::open_cache(&config.cache)?,
        passwords: Passwords::new(&config.passwords)?,
        tokens: Tokens::new(keys, config.identity.issuer.clone()),
        sessions: config.sessions.rules(),
        throttle: config.throttle,
        clock: surroundings.clock.clone(),
        ids: surroundings.ids.clone(),
        arrived: Arc::default(),
        writes: app::Writes::default(),
    });
    if let Err(error) = app.learn_costs().await {
        tracing::debug!(
            cause = chassis::causes(&error),
            "which costs of hashing accounts have is learned later"
        );
    }
    let workers: Vec<Arc<dyn Worker>> = vec![
        Arc::new(workers::IntakeWorker::new(app.clone())),
        Arc::new(Relay::new(opened.outbox, bus.clone())),
        Arc::new(workers::forget_answers(app.clone())),
        Arc::new(workers::CostsWorker::new(app.clone())),
        Arc::new(Erasing::new(
            "users.erasures",
            vec![opened.erasure, Arc::new(workers::WipedIntake(app.intake.clone()))],
            bus.clone(),
        )),
    ];
    let closers = [opened.closer, intake_closer].into_iter().chain(closers).collect();
    Ok(Opened { app, bus, workers, closers })
}

/// How often the first admin is tried again …
const PATIENT_STARTS: u32 = 10;
/// … after how long …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … and how long at most.
const MAX_PAUSE: Duration = Duration::from_secs(2);

async fn make_first_admin(app: &App, config: &Config) -> anyhow::Result<()> {
    let Some((email, password)) = config.bootstrap_admin.wanted() else { return Ok(()) };
    let email = Email::parse(email).context("bootstrap_admin.email")?;
    let password = Password::parse(password).context("bootstrap_admin.password")?;
    let mut failures = 0;
    let made = loop {
        let wish = FirstAdmin { email: email.clone(), password: password.clone() };
        match app.ensure_first_admin(wish).await {
            // A store that has only just come up, with everybody at its door, may be too slow for the first question.
            Err(error) if error.kind() == Kind::Unavailable && failures < PATIENT_STARTS => failures += 1,
            outcome => break outcome.context("bootstrap_admin.email")?,
        }
        chassis::pause(chassis::back_off(failures, FIRST_PAUSE, MAX_PAUSE)).await;
    };
    if made {
        tracing::info!("the first admin was made from bootstrap_admin");
    }
    Ok(())
}

fn dependencies(app: &Arc<App>, bus: &Arc<dyn Bus>) -> Vec<Dependency> {
    let (store, intake, cache) = (app.store.clone(), app.intake.clone(), app.cache.clone());
    let (written_store, written_intake) = (app.clone(), app.clone());
    vec![
        Dependency::new("store", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .that_writes(move || {
            let app = written_store.clone();
            async move { app.store.try_write().await }
        }),
        Dependency::new("intake", move || {
            let intake = intake.clone();
            async move { intake.ping().await }
        })
        .that_writes(move || {
            let app = written_intake.clone();
            async move { app.intake.try_write().await }
        }),
        Dependency::new("cache", move || {
            let cache = cache.clone();
            async move { cache.ping().await }
        })
        .optional(),
        bus::dependency(bus),
    ]
}
