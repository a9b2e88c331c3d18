//! The health of a process: `/livez`, `/readyz`, and its form for gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use futures::FutureExt;
use http::StatusCode;

use super::service::Service;
use crate::grpc::IsWell;
use crate::http::Json;
use crate::work::Dependency;

/// The health of a process and its dependencies.
pub(super) struct Health {
    pub(super) ready: AtomicBool,
    fingerprint: String,
    dependencies: Vec<(&'static str, Dependency)>,
    last: tokio::sync::Mutex<Option<Examination>>,
}

/// Returns the routes of the probes. Only operators see the details of `/readyz`.
pub(super) fn health_routes(health: Arc<Health>, detailed: bool) -> Router {
    let live = axum::routing::get(|| async { "live\n" });
    let ready = axum::routing::get(move || readyz(health.clone(), detailed));
    Router::new().route("/livez", live).route("/readyz", ready)
}

/// Returns the health for gRPC, which is that of `/readyz`.
pub(super) fn is_well(health: Arc<Health>) -> IsWell {
    Arc::new(move || {
        let health = health.clone();
        async move { health.look().await.0 }.boxed()
    })
}

async fn readyz(health: Arc<Health>, detailed: bool) -> (StatusCode, Json<serde_json::Value>) {
    let (well, dependencies) = health.look().await;
    let writes = dependencies.iter().all(|dependency| dependency["writes"] != false);
    let status = if !well {
        "not ready"
    } else if writes {
        "ready"
    } else {
        "degraded"
    };
    let mut body = serde_json::json!({ "status": status });
    if detailed {
        body["config"] = health.fingerprint.as_str().into();
        body["dependencies"] = dependencies.into();
    }
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// The time for which an examination is valid. All callers share it, so the stores are probed once in this
/// time.
const VALIDITY: Duration = Duration::from_secs(1);

/// The time of an examination, whether all was well, and the state of each dependency.
type Examination = (Instant, bool, Vec<serde_json::Value>);

impl Health {
    pub(super) fn new(fingerprint: &str, services: &[Service]) -> Arc<Self> {
        let dependencies_of = |service: &Service| -> Vec<_> {
            service.health.iter().map(|dependency| (service.name, dependency.clone())).collect()
        };
        Arc::new(Self {
            ready: AtomicBool::new(false),
            fingerprint: fingerprint.to_owned(),
            dependencies: services.iter().flat_map(dependencies_of).collect(),
            last: tokio::sync::Mutex::default(),
        })
    }

    /// Returns whether the process can serve requests, and the state of each dependency, not older than a
    /// second.
    async fn look(&self) -> (bool, Vec<serde_json::Value>) {
        let mut last = self.last.lock().await;
        let fresh = last.take().filter(|(at, ..)| at.elapsed() < VALIDITY);
        let (at, well, answers) = match fresh {
            Some(fresh) => fresh,
            None => {
                let (well, answers) = examine(self).await;
                (Instant::now(), well, answers)
            }
        };
        *last = Some((at, well, answers.clone()));
        // A stop is reported immediately.
        (well && self.ready.load(Ordering::SeqCst), answers)
    }
}

/// Examines whether the process can serve requests, and the state of each dependency. A store that takes no
/// writes is reported, but reads go on.
async fn examine(health: &Health) -> (bool, Vec<serde_json::Value>) {
    let probes = health.dependencies.iter().map(|(service, dependency)| async move {
        let ((age, outcome), writes) = tokio::join!(dependency.check(), dependency.check_writes());
        if let Err(cause) = &outcome {
            tracing::warn!(dependency = dependency.name(), cause, "a dependency does not answer");
        } else if let Err(cause) = &writes {
            tracing::warn!(dependency = dependency.name(), cause, "a store takes no writes; it serves reads");
        }
        let reason = outcome.as_ref().err().or(writes.as_ref().err());
        let answer = serde_json::json!({
            "service": service,
            "name": dependency.name(),
            "ok": outcome.is_ok(),
            "writes": writes.is_ok(),
            "reason": reason,
            "optional": dependency.is_optional(),
            "last_success_age_ms": age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        });
        (outcome.is_ok() || dependency.is_optional(), answer)
    });
    let answers = futures::future::join_all(probes).await;
    let running = health.ready.load(Ordering::SeqCst);
    let well = running && answers.iter().all(|(ok, _)| *ok);
    (well, answers.into_iter().map(|(_, answer)| answer).collect())
}
