//! The use cases of the services, opened without the services. Each has its own clock, which walks through
//! the plan.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bus::{Relay, Subscription};
use chassis::{Closer, Runnable, Surroundings, Worker, drive, pause, spawn};
use kernel::{Section, SystemClock, Timestamp, UserId};
use news::{OpenedNews, Projection};
use recommendations::{Consent, ConsentRecord, DirectoryError, UserDirectory};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use users::Email;

use crate::Stores;
use crate::accounts::Accounts;
use crate::clock::{PlannedIds, WalkingClock};
use crate::plan::Plan;

/// The longest time that the workers continue when a seed ends. The rest stays in outboxes and queues for the
/// portal.
const GRACE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The use cases that a seed calls.
pub struct Stage {
    /// The accounts.
    pub users: Arc<users::App>,
    /// The clock of the accounts.
    pub users_clock: Arc<WalkingClock>,
    sections: BTreeMap<Section, SectionStage>,
    /// The readings.
    pub tastes: recommendations::App,
    /// The clock of the readings.
    pub tastes_clock: Arc<WalkingClock>,
    running: Running,
    closers: Vec<Closer>,
}

/// The use cases of one section.
pub struct SectionStage {
    /// The use cases.
    pub app: Arc<news::App>,
    /// The clock.
    pub clock: Arc<WalkingClock>,
    /// The ids of new articles.
    pub ids: Arc<PlannedIds>,
    outbox: Arc<dyn bus::Outbox>,
}

/// The background work: relays, intake, projections.
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
    /// Opens the stores and starts the workers.
    ///
    /// # Errors
    /// Fails if a store can't be opened.
    pub async fn open(stores: &Stores) -> anyhow::Result<Self> {
        let around = Surroundings::one_process();
        let (mut running, mut closers) = (Running::default(), Vec::<Closer>::new());
        // The bus comes first, with the real time: the portal may have left messages in its queues.
        let bus::OpenBus { closers: bus_closers, .. } =
            bus::open(stores.users.bus.url.expose(), &around).await.context("users.bus.url")?;
        let users_clock = Arc::<WalkingClock>::default();
        let users = users::open(&stores.users, &around.clone().with_clock(users_clock.clone()))
            .await
            .context("users")?;
        users.workers.into_iter().for_each(|worker| running.work("users", worker));
        let mut sections = BTreeMap::new();
        for (section, config) in &stores.news {
            let opened = SectionStage::open(*section, config, &around, &mut running, &mut closers).await;
            sections.insert(*section, opened.context(section.service())?);
        }
        let tastes_clock = Arc::<WalkingClock>::default();
        let tastes =
            open_tastes(stores, &users.app, &around, (&tastes_clock, &mut running, &mut closers)).await;
        closers.extend(users.closers);
        closers.extend(bus_closers);
        let tastes = tastes.context("recommendations")?;
        Ok(Self { users: users.app, users_clock, sections, tastes, tastes_clock, running, closers })
    }

    /// Returns the use cases of a section.
    ///
    /// # Errors
    /// Fails if the section was not opened, which is a defect.
    pub fn section(&self, section: Section) -> anyhow::Result<&SectionStage> {
        self.sections.get(&section).with_context(|| format!("the section {section} was not opened"))
    }

    /// Refuses a portal that has people of the plan although the file of accounts is missing.
    ///
    /// # Errors
    /// Fails if there is such a person.
    pub async fn ensure_unseeded(&self, plan: &Plan, data: &Path) -> anyhow::Result<()> {
        for person in plan.people.iter().take(1) {
            let there = self.users.find_by_email(&Email::parse(&person.email)?).await?;
            ensure!(
                there.is_none(),
                "this portal was filled before, and {} is gone: how much of the seed exists is not known any more",
                Accounts::path(data).display()
            );
        }
        Ok(())
    }

    /// Waits until the outboxes of the sections are empty.
    ///
    /// # Errors
    /// Fails if that takes longer than `patience`.
    pub async fn settle(&self, patience: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + patience;
        for (section, stage) in &self.sections {
            while !stage.outbox.unsent(1).await?.is_empty() {
                ensure!(Instant::now() < end, "the messages of {section} do not leave its outbox");
                pause(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Ends in order: workers when they are idle, then consumers, then stores.
    pub async fn close(self) {
        self.running.working.cancel();
        for worker in self.running.workers {
            let _ = worker.await;
        }
        self.running.consuming.cancel();
        for consumer in self.running.consumers {
            let _ = consumer.await;
        }
        for closer in self.closers {
            closer.await;
        }
    }
}

impl SectionStage {
    async fn open(
        section: Section,
        config: &news::Config,
        around: &Surroundings,
        running: &mut Running,
        closers: &mut Vec<Closer>,
    ) -> anyhow::Result<Self> {
        let clock = Arc::<WalkingClock>::default();
        let ids = Arc::new(PlannedIds::new(clock.clone()));
        let name = section.service();
        let bus::OpenBus { bus, closers: bus_closers } =
            bus::open(config.bus.of(name).expose(), around).await.context("bus.url")?;
        let walking = around.clone().with_clock(clock.clone()).with_ids(ids.clone());
        let OpenedNews { app, outbox, closers: store_closers, .. } =
            news::open(section, config, &walking).await?;
        let queue = Subscription::durable(name, format!("{name}.projection"), [format!("news.{section}.#")]);
        running.consume(bus.subscribe(queue, Arc::new(Projection(app.clone()))).await?);
        running.work(name, Arc::new(Relay::new(outbox.clone(), bus)));
        closers.extend(store_closers.into_iter().chain(bus_closers));
        Ok(Self { app, clock, ids, outbox })
    }
}

/// Opens the readings. Messages from the bus are handled in the present; only the readings of the seed lie in
/// the past.
async fn open_tastes(
    stores: &Stores,
    users: &Arc<users::App>,
    around: &Surroundings,
    (clock, running, closers): (&Arc<WalkingClock>, &mut Running, &mut Vec<Closer>),
) -> anyhow::Result<recommendations::App> {
    let config = &stores.recommendations;
    let budget = Duration::from_millis(config.store.budget_ms);
    let opened = recommendations::open_graph(&config.store.url, budget).await.context("store.url")?;
    let directory: Arc<dyn UserDirectory> = Arc::new(Directory(users.clone()));
    let bus::OpenBus { bus, closers: bus_closers } =
        bus::open(config.bus.url.expose(), around).await.context("bus.url")?;
    let app = |clock| {
        let (graph, users) = (opened.port.clone(), directory.clone());
        recommendations::App::new(recommendations::Parts { graph, users, clock })
    };
    let present = app(Arc::new(SystemClock));
    for consumer in recommendations::subscribe(&*bus, &present).await? {
        running.consume(consumer);
    }
    let past = app(clock.clone());
    closers.extend(opened.closers.into_iter().chain(bus_closers));
    Ok(past)
}

/// The source of consent for recommendations: the accounts themselves, which are open here.
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

    async fn record_labels_view(
        &self,
        reader: UserId,
        admin: UserId,
        from: IpAddr,
    ) -> Result<(), DirectoryError> {
        let recorded = self.0.record_labels_view(reader, admin, from).await;
        recorded.map_err(|error| DirectoryError::Failed(kernel::Fault::refusal(&error)))
    }
}
