//! The background work of this service: it moves registrations from the intake into the store, reads the
//! costs of stored hashes, and deletes expired answers and entries of the audit. Two more workers belong to
//! the bus: the relay publishes messages, and `Erasing` completes erasures in every file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chassis::{Cleanup, Step, Worker};
use kernel::{Fault, Timestamp};
use tokio::sync::Notify;

use crate::app::App;
use crate::metrics::{ERASURES_OVERDUE, INTAKE_DEPTH};

/// The shortest time between two measurements of the number of waiting registrations.
const DEPTH_INTERVAL: Duration = Duration::from_secs(1);
/// The most registrations that a measurement counts, so that it is cheap however many wait.
const MAX_DEPTH: u32 = 1000;

/// The time between two reads of the costs of stored hashes.
const COSTS_INTERVAL: Duration = Duration::from_secs(60);

/// The time between two deletions of expired answers. It is not urgent, because an expired answer does not
/// count.
const ANSWERS_INTERVAL: Duration = Duration::from_secs(60);

/// Returns the worker that forgets expired answers to requests with idempotency keys.
pub fn forget_answers(app: Arc<App>) -> Cleanup {
    let clock = app.clock.clone();
    Cleanup::new("users.answers", ANSWERS_INTERVAL, clock, move |most| {
        let app = app.clone();
        async move { app.forget_answers(most).await }
    })
}

/// The time between two deletions of expired entries of the audit.
const AUDIT_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Returns the worker that deletes expired entries of the audit.
pub fn delete_audit_entries(app: Arc<App>) -> Cleanup {
    let clock = app.clock.clone();
    Cleanup::new("users.audit", AUDIT_INTERVAL, clock, move |most| {
        let app = app.clone();
        async move { app.delete_audit_entries(most).await }
    })
}

/// The time between two deletions of the parts of old exports.
const EXPORTS_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Returns the worker that deletes the parts of exports that began more than a day ago.
pub fn delete_export_parts(app: Arc<App>) -> Cleanup {
    let clock = app.clock.clone();
    Cleanup::new("users.exports", EXPORTS_INTERVAL, clock, move |most| {
        let app = app.clone();
        async move { app.delete_export_parts(most).await }
    })
}

/// The worker that reads the costs of stored hashes: they change while passwords are hashed again after a
/// raise.
pub struct CostsWorker {
    app: Arc<App>,
    next: Mutex<Option<Timestamp>>,
    wake: Arc<Notify>,
}

impl CostsWorker {
    /// Creates the worker for the accounts of `app`.
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
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.plus(COSTS_INTERVAL));
        }
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// The time between two looks at the erasures that are not complete.
const ERASURES_INTERVAL: Duration = Duration::from_secs(5);

/// The worker that announces erasures again until they are complete, and counts those that take too long.
pub struct ErasureWatch {
    app: Arc<App>,
    /// The time of the next look, by the clock that never goes back.
    next: Mutex<Option<Duration>>,
    wake: Arc<Notify>,
}

impl ErasureWatch {
    /// Creates the worker for the erasures of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, next: Mutex::default(), wake: Arc::default() }
    }
}

#[async_trait]
impl Worker for ErasureWatch {
    fn name(&self) -> &'static str {
        "users.erasure_watch"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let now = self.app.clock.elapsed();
        let due = self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|next| next <= now);
        if due {
            let overdue =
                self.app.pursue_erasures().await.map_err(|error| Box::new(error) as Box<dyn Fault>)?;
            ERASURES_OVERDUE.set([], f64::from(overdue));
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + ERASURES_INTERVAL);
        }
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// The worker that moves registrations into the store, one batch in each step.
pub struct IntakeWorker {
    app: Arc<App>,
    /// The time of the last measurement.
    measured_at: Mutex<Option<Instant>>,
}

impl IntakeWorker {
    /// Creates the worker for the registrations of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, measured_at: Mutex::default() }
    }

    /// Measures the number of waiting registrations, for the metrics.
    async fn measure_depth(&self) {
        let due = {
            let mut measured_at = self.measured_at.lock().unwrap_or_else(PoisonError::into_inner);
            let due = measured_at.is_none_or(|at| at.elapsed() >= DEPTH_INTERVAL);
            if due {
                *measured_at = Some(Instant::now());
            }
            due
        };
        // If the intake does not answer, the step has failed too and is logged.
        if due && let Ok(waiting) = self.app.intake.waiting(MAX_DEPTH).await {
            INTAKE_DEPTH.set([], f64::from(u32::try_from(waiting.len()).unwrap_or(MAX_DEPTH)));
        }
    }
}

#[async_trait]
impl Worker for IntakeWorker {
    fn name(&self) -> &'static str {
        "users.intake"
    }

    async fn step(&self) -> Result<Step, Box<dyn Fault>> {
        let outcome = self.app.settle_batch().await;
        self.measure_depth().await;
        match outcome {
            Ok(0) => Ok(Step::Idle),
            Ok(_) => Ok(Step::Worked),
            Err(error) => Err(Box::new(error)),
        }
    }

    fn wake(&self) -> Arc<Notify> {
        self.app.arrived.clone()
    }
}
