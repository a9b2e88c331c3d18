//! The services' use cases, opened without the services: each with a clock of its own that walks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bus::{Relay, Subscription};
use chassis::{Closer, Runnable, Surroundings, Worker, drive, pause, spawn};
use kernel::{Section, SystemClock, Timestamp, UserId};
use news::consumers::Projection;
use recommendations::{Consent, ConsentRecord, DirectoryError, UserDirectory};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use users::Email;

use super::accounts::Accounts;
use super::clock::{PlannedIds, Walking};
use super::plan::Plan;
use crate::config::Config;
use crate::offline;

/// How long the workers may go on when a seed ends; what is left then stays in its outbox or queue, and the portal goes on with it.
const GRACE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Everything that a seed acts on.
pub struct Stage {
    /// Accounts.
    pub users: Arc<users::App>,
    /// Their clock.
    pub users_clock: Arc<Walking>,
    /// The sections.
    pub desks: BTreeMap<Section, Desk>,
    /// Who likes what.
    pub tastes: recommendations::App,
    /// Its clock.
    pub tastes_clock: Arc<Walking>,
    running: Running,
    closers: Vec<Closer>,
}

/// One section.
pub struct Desk {
    /// Its use cases.
    pub app: Arc<news::App>,
    /// Its clock.
    pub clock: Arc<Walking>,
    /// Its ids.
    pub ids: Arc<PlannedIds>,
    outbox: Arc<dyn bus::Outbox>,
}

/// What works beside: the relays, the intake, the projections.
#[derive(Default)]
struct Running {
    working: CancellationToken,
    consuming: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    consumers: Vec<JoinHandle<()>>,
}

impl Running {
    fn work(&mut self, service: &'static str, worker: Arc<dyn Worker>) {
        self.workers.push(spawn("seed.worker", drive(service, worker, self.working.clone(), GRACE)));
    }

    fn consume(&mut self, consumer: Box<dyn Runnable>) {
        self.consumers.push(spawn("seed.consumer", consumer.run(self.consuming.clone())));
    }
}

impl Stage {
    /// Opens every store that the configuration names, and sets the workers going.
    ///
    /// # Errors
    /// Where a store can't be opened.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let around = Surroundings::one_process();
        let (mut running, mut closers) = (Running::default(), Vec::<Closer>::new());
        // The bus first, with the true time: what waits in its queues was put there by the portal.
        let bus::OpenBus { closers: bus_closers, .. } =
            bus::open(config.users.bus.url.expose(), &around).await.context("users.bus.url")?;
        let users_clock = Arc::<Walking>::default();
        let users = users::open(&config.users, &around.clone().with_clock(users_clock.clone()))
            .await
            .context("users")?;
        users.workers.into_iter().for_each(|worker| running.work("users", worker));
        let mut desks = BTreeMap::new();
        for section in Section::ALL {
            let config = offline::of(config, section);
            let desk = Desk::open(section, config, &around, &mut running, &mut closers).await;
            desks.insert(section, desk.context(section.service())?);
        }
        let tastes_clock = Arc::<Walking>::default();
        let tastes = tastes(config, &users.app, &around, (&tastes_clock, &mut running, &mut closers)).await;
        closers.extend(users.closers);
        closers.extend(bus_closers);
        let tastes = tastes.context("recommendations")?;
        Ok(Self { users: users.app, users_clock, desks, tastes, tastes_clock, running, closers })
    }

    /// Refuses where the people of a plan are there although nobody knows of a seed.
    ///
    /// # Errors
    /// Where they are.
    pub async fn ensure_unseeded(&self, plan: &Plan, data: &Path) -> anyhow::Result<()> {
        for person in plan.people.iter().take(1) {
            let there = self.users.find_by_email(&Email::parse(&person.email)?).await?;
            ensure!(
                there.is_none(),
                "this portal was filled before, and {} is gone: what of the seed is there can't be told any more",
                Accounts::path(data).display()
            );
        }
        Ok(())
    }

    /// Waits until everything that was told has left the outboxes of the sections.
    ///
    /// # Errors
    /// Where that takes longer than `patience`.
    pub async fn settled(&self, patience: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + patience;
        for (section, desk) in &self.desks {
            while !desk.outbox.unsent(1).await?.is_empty() {
                ensure!(Instant::now() < end, "what {section} has to tell does not leave its outbox");
                pause(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Ends in order: workers until idle, consumers, stores.
    pub async fn close(self) {
        self.running.working.cancel();
        for worker in self.running.workers {
            let _ = worker.await;
        }
        self.running.consuming.cancel();
        for consumer in self.running.consumers {
            let _ = consumer.await;
        }
        for desk in self.desks.into_values() {
            desk.app.close().await;
        }
        for closer in self.closers {
            closer.await;
        }
    }
}

impl Desk {
    async fn open(
        section: Section,
        config: &news::Config,
        around: &Surroundings,
        running: &mut Running,
        closers: &mut Vec<Closer>,
    ) -> anyhow::Result<Self> {
        let clock = Arc::<Walking>::default();
        let ids = Arc::new(PlannedIds::new(clock.clone()));
        let name = section.service();
        let bus::OpenBus { bus, closers: bus_closers } =
            bus::open(config.bus.of(name).expose(), around).await.context("bus.url")?;
        let walking = around.clone().with_clock(clock.clone()).with_ids(ids.clone());
        let (app, outbox) = news::open(section, config, &walking).await?;
        let queue = Subscription::durable(name, format!("{name}.projection"), [format!("news.{section}.#")]);
        running.consume(bus.subscribe(queue, Arc::new(Projection(app.clone()))).await?);
        running.work(name, Arc::new(Relay::new(outbox.clone(), bus)));
        closers.extend(bus_closers);
        Ok(Self { app, clock, ids, outbox })
    }
}

/// Opens who likes what. What comes over the bus is handled in the present; only the seed's own readings lie in the past.
async fn tastes(
    config: &Config,
    users: &Arc<users::App>,
    around: &Surroundings,
    (clock, running, closers): (&Arc<Walking>, &mut Running, &mut Vec<Closer>),
) -> anyhow::Result<recommendations::App> {
    let config = &config.recommendations;
    let budget = Duration::from_millis(config.store.budget_ms);
    let opened = recommendations::open_graph(&config.store.url, budget).await.context("store.url")?;
    let directory: Arc<dyn UserDirectory> = Arc::new(Directory(users.clone()));
    let bus::OpenBus { bus, closers: bus_closers } =
        bus::open(config.bus.url.expose(), around).await.context("bus.url")?;
    let app = |clock| {
        let (graph, users) = (opened.graph.clone(), directory.clone());
        recommendations::App::new(recommendations::Parts { graph, users, clock })
    };
    let present = app(Arc::new(SystemClock));
    for consumer in recommendations::subscribe(&*bus, &present).await? {
        running.consume(consumer);
    }
    let past = app(clock.clone());
    closers.push(Box::pin(async move { opened.engine.close().await }));
    closers.extend(bus_closers);
    Ok(past)
}

/// Whom recommendations asks about consent: the accounts themselves, for they are open here.
struct Directory(Arc<users::App>);

#[async_trait]
impl UserDirectory for Directory {
    async fn consent_of(&self, user: UserId) -> Result<Option<ConsentRecord>, DirectoryError> {
        let said = self.0.consent(user).await;
        let said = said.map_err(|error| DirectoryError::Failed(kernel::Fault::refusal(&error)))?;
        let consent = Consent { personalisation: said.choice.personalisation, history: said.choice.history };
        let since = said.changed_at.unwrap_or(Timestamp::from_millis(0));
        Ok(Some(ConsentRecord { consent, version: said.version, since }))
    }
}
