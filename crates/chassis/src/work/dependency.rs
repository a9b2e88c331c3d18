use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::values::causes;

type Probe = dyn Fn() -> ProbeFuture<'static, String> + Send + Sync;

/// The future of a probe of a port, as `async_trait` makes it.
pub type ProbeFuture<'a, E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'a>>;

/// The time for which the outcome of a probe that writes is kept.
const OUTCOME_LIFE: Duration = Duration::from_secs(5);
/// The longest time of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The outcome of an expensive probe, such as a write to a disk. It is kept for five seconds, and one caller
/// at a time probes.
#[derive(Default)]
pub struct CachedProbe(tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>);

impl CachedProbe {
    /// Returns the kept outcome, or probes. A probe that takes more than a second has failed.
    ///
    /// # Errors
    /// The cause, for the log and for operators.
    pub async fn ask<E: std::error::Error>(
        &self,
        probe: impl Future<Output = Result<(), E>>,
    ) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < OUTCOME_LIFE
        {
            return outcome.clone();
        }
        let ended = tokio::time::timeout(PROBE_TIMEOUT, probe).await;
        let outcome =
            ended.map_or_else(|_| Err(no_answer()), |outcome| outcome.map_err(|error| causes(&error)));
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

/// Turns a method of a port into a function that owns the port.
fn calls<P, E>(
    port: &Arc<P>,
    method: for<'a> fn(&'a P) -> ProbeFuture<'a, E>,
) -> impl Fn() -> ProbeFuture<'static, E> + Send + Sync + use<P, E>
where
    P: ?Sized + Send + Sync + 'static,
    E: 'static,
{
    let port = port.clone();
    move || {
        let port = port.clone();
        Box::pin(async move { method(&port).await })
    }
}

fn no_answer() -> String {
    "no answer within a second".to_owned()
}

/// Something outside the service that it needs.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    probe: Arc<Probe>,
    last_success: Arc<Mutex<Option<Instant>>>,
    write_probe: Option<Arc<Probe>>,
    optional: bool,
}

impl Dependency {
    /// Creates a dependency with a probe that finds out whether it is available. A probe that takes more than
    /// a second has failed.
    pub fn new<F, E>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error,
    {
        let probe = move || -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            let probe = probe();
            Box::pin(async move { probe.await.map_err(|error| causes(&error)) })
        };
        Self {
            name,
            probe: Arc::new(probe),
            last_success: Arc::default(),
            write_probe: None,
            optional: false,
        }
    }

    /// Creates a dependency that is probed by a method of its port, as
    /// `Dependency::of("store", &store, |store| store.ping())`. A probe that takes more than a second has
    /// failed.
    pub fn of<P, E>(name: &'static str, port: &Arc<P>, ping: for<'a> fn(&'a P) -> ProbeFuture<'a, E>) -> Self
    where
        P: ?Sized + Send + Sync + 'static,
        E: std::error::Error + 'static,
    {
        Self::new(name, calls(port, ping))
    }

    /// Adds a probe that writes a byte, by a method of the port. A store that takes no writes is reported and
    /// goes on serving reads.
    pub fn with_write_probe_of<P, E>(
        self,
        port: &Arc<P>,
        try_write: for<'a> fn(&'a P) -> ProbeFuture<'a, E>,
    ) -> Self
    where
        P: ?Sized + Send + Sync + 'static,
        E: std::error::Error + 'static,
    {
        self.with_write_probe(calls(port, try_write))
    }

    /// Marks it as optional: the service does all its work without it. If it is unavailable, `/readyz`
    /// reports that and the service stays ready.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Adds a probe that writes a byte. A store that takes no writes is reported and goes on serving reads.
    pub fn with_write_probe<F, E>(self, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        let kept = Arc::new(CachedProbe::default());
        let probe = move || -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            let (kept, probe) = (kept.clone(), probe());
            Box::pin(async move { kept.ask(probe).await })
        };
        Self { write_probe: Some(Arc::new(probe)), ..self }
    }

    /// Checks whether it accepts writes. Without a write probe the answer is yes. The outcome is kept for
    /// five seconds.
    ///
    /// # Errors
    /// The cause.
    pub async fn check_writes(&self) -> Result<(), String> {
        match &self.write_probe {
            Some(probe) => probe().await,
            None => Ok(()),
        }
    }

    /// True if the service is ready without it.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Probes it. Returns the time since its last success, and the outcome of this probe.
    pub async fn check(&self) -> (Option<Duration>, Result<(), String>) {
        let outcome =
            tokio::time::timeout(PROBE_TIMEOUT, (self.probe)()).await.unwrap_or_else(|_| Err(no_answer()));
        let mut last = self.last_success.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_ok() {
            *last = Some(Instant::now());
        }
        (last.map(|at| at.elapsed()), outcome)
    }
}

/// The future that closes a store, when nothing uses it any more.
pub type Closer = Pin<Box<dyn Future<Output = ()> + Send>>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[async_trait::async_trait]
    trait Port: Send + Sync {
        async fn ping(&self) -> Result<(), std::fmt::Error>;
        async fn try_write(&self) -> Result<(), std::fmt::Error>;
    }

    struct ReadOnly;

    #[async_trait::async_trait]
    impl Port for ReadOnly {
        async fn ping(&self) -> Result<(), std::fmt::Error> {
            Ok(())
        }

        async fn try_write(&self) -> Result<(), std::fmt::Error> {
            Err(std::fmt::Error)
        }
    }

    #[tokio::test]
    async fn a_port_is_probed_by_its_own_methods() {
        let port: Arc<dyn Port> = Arc::new(ReadOnly);
        let dependency = Dependency::of("store", &port, |port| port.ping())
            .with_write_probe_of(&port, |port| port.try_write());
        assert_eq!(dependency.check().await.1, Ok(()));
        assert_eq!(dependency.check_writes().await, Err(std::fmt::Error.to_string()));
    }

    #[tokio::test]
    async fn a_probe_that_writes_runs_once_in_five_seconds_for_all_callers() {
        let written = Arc::new(AtomicU32::new(0));
        let seen = written.clone();
        let is_there = || std::future::ready(Ok::<(), std::fmt::Error>(()));
        let dependency = Dependency::new("store", is_there).with_write_probe(move || {
            let seen = seen.clone();
            async move {
                seen.fetch_add(1, Ordering::SeqCst);
                Err(std::fmt::Error)
            }
        });
        let clone = dependency.clone();
        let checks = (0..10).map(|_| clone.check_writes());
        for outcome in futures::future::join_all(checks).await {
            assert_eq!(outcome, Err(std::fmt::Error.to_string()));
        }
        assert!(dependency.check().await.1.is_ok(), "reads still work");
        assert_eq!(written.load(Ordering::SeqCst), 1);
    }
}
