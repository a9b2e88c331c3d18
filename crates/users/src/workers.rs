//! What this service does by itself: it brings registrations from the intake into the store, and forgets answers whose time is over.
//! (That erasures become true in every file is done by the bus's worker `Erasing`.)
//! (What tells other services is the bus's own worker, the relay.)

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Erasable, Forgetting, Step, StoreFailure, Worker};
use kernel::{Fault, Timestamp, UserId};
use tokio::sync::Notify;

use crate::app::App;
use crate::metrics::INTAKE_DEPTH;
use crate::ports::Intake;

/// The least time between two looks at how many registrations wait.
const LOOK: Duration = Duration::from_secs(1);
/// What a look counts at most: it costs little, however many wait.
const MOST: u32 = 1000;

/// How often it is looked which costs of hashing accounts have.
const COSTS: Duration = Duration::from_secs(60);

/// How often it is looked for answers whose time is over. Nothing waits for it: such an answer counts as none.
const ANSWERS: Duration = Duration::from_secs(60);

/// Forgets answers to requests under keys once their time is over.
pub fn forget_answers(app: Arc<App>) -> Forgetting {
    let clock = app.clock.clone();
    Forgetting::new("users.answers", ANSWERS, clock, move |most| {
        let app = app.clone();
        async move { app.forget_answers(most).await }
    })
}

/// Learns which costs of hashing accounts have: they change while accounts are hashed anew after a raise.
pub struct CostsWorker {
    app: Arc<App>,
    next: Mutex<Option<Timestamp>>,
    wake: Arc<Notify>,
}

impl CostsWorker {
    /// For the accounts of this app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, next: Mutex::default(), wake: Arc::default() }
    }
}

#[async_trait]
impl Worker for CostsWorker {
    fn name(&self) -> &'static str {
        "users.costs"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let now = self.app.clock.now();
        let due = self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|next| next <= now);
        if due {
            self.app.learn_costs().await.map_err(|error| Box::new(error) as Box<dyn Fault>)?;
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.plus(COSTS));
        }
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// The intake among the stores that are wiped after an erasure. It owes nothing by itself: the accounts do, for both.
pub struct WipedIntake(pub Arc<dyn Intake>);

#[async_trait]
impl Erasable for WipedIntake {
    async fn owed(&self) -> Result<Vec<UserId>, StoreFailure> {
        Ok(Vec::new())
    }

    async fn wipe(&self, _: &[UserId]) -> Result<bool, StoreFailure> {
        self.0.wipe().await
    }

    async fn done(&self, _: &[UserId]) -> Result<(), StoreFailure> {
        Ok(())
    }
}

/// Brings registrations into the store, a batch at a step.
pub struct IntakeWorker {
    app: Arc<App>,
    looked: Mutex<Option<Instant>>,
}

impl IntakeWorker {
    /// For the registrations of this app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, looked: Mutex::default() }
    }

    /// Says how many registrations wait, for the metrics.
    async fn look(&self) {
        let due = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = looked.is_none_or(|at| at.elapsed() >= LOOK);
            if due {
                *looked = Some(Instant::now());
            }
            due
        };
        // An intake that does not answer has failed the step as well.
        if due && let Ok(waiting) = self.app.intake.waiting(MOST).await {
            INTAKE_DEPTH.set([], f64::from(u32::try_from(waiting.len()).unwrap_or(MOST)));
        }
    }
}

#[async_trait]
impl Worker for IntakeWorker {
    fn name(&self) -> &'static str {
        "users.intake"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let settled = self.app.settle_batch().await;
        self.look().await;
        match settled {
            Ok(0) => Ok(Step::Idle),
            Ok(_) => Ok(Step::Worked),
            Err(error) => Err(Box::new(error)),
        }
    }

    fn wake(&self) -> Arc<Notify> {
        self.app.arrived.clone()
    }
}
