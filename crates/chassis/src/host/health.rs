//! Whether a process is well: `/livez`, `/readyz`, and the same for gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use futures::FutureExt;
use http::StatusCode;

use super::run::Host;
use super::service::Service;
use crate::grpc::IsWell;
use crate::http::Json;
use crate::work::Dependency;

pub(super) struct Health {
    pub(super) ready: AtomicBool,
    fingerprint: String,
    dependencies: Vec<(&'static str, Dependency)>,
    last: tokio::sync::Mutex<Option<Examination>>,
}

/// The probes. Only operators see the details of `/readyz`.
pub(super) fn health_routes(health: Arc<Health>, detailed: bool) -> Router {
    let live = axum::routing::get(|| async { "live\n" });
    let ready = axum::routing::get(move || readyz(health.clone(), detailed));
    Router::new().route("/livez", live).route("/readyz", ready)
}

/// What gRPC's health says: the same as `/readyz`.
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

/// How long an examination counts: however many ask, the stores are asked once in this time.
const EXAMINATION: Duration = Duration::from_secs(1);

/// When it was, whether all was well, and how each dependency was.
type Examination = (Instant, bool, Vec<serde_json::Value>);

impl Health {
    pub(super) fn of(host: &Host) -> Arc<Self> {
        let of = |service: &Service| -> Vec<_> {
            service.health.iter().map(|dependency| (service.name, dependency.clone())).collect()
        };
        Arc::new(Self {
            ready: AtomicBool::new(false),
            fingerprint: host.fingerprint.clone(),
            dependencies: host.services.iter().flat_map(of).collect(),
            last: tokio::sync::Mutex::default(),
        })
    }

    /// Whether the process may be sent requests, and how each of its dependencies is; as of the last second.
    async fn look(&self) -> (bool, Vec<serde_json::Value>) {
        let mut last = self.last.lock().await;
        let fresh = last.take().filter(|(at, ..)| at.elapsed() < EXAMINATION);
        let (at, well, answers) = match fresh {
            Some(fresh) => fresh,
            None => {
                let (well, answers) = examine(self).await;
                (Instant::now(), well, answers)
            }
        };
        *last = Some((at, well, answers.clone()));
        // A stop is not kept back for a second.
        (well && self.ready.load(Ordering::SeqCst), answers)
    }
}

/// Whether the process may be sent requests, and how each of its dependencies is. A store that takes no writes does not count: it is
/// reported, and reads go on.
async fn examine(health: &Health) -> (bool, Vec<serde_json::Value>) {
    let asked = health.dependencies.iter().map(|(service, dependency)| async move {
        let ((age, outcome), writes) = tokio::join!(dependency.check(), dependency.check_writes());
        if let Err(cause) = &outcome {
            tracing::warn!(dependency = dependency.name(), cause, "a dependency does not answer");
        } else if let Err(cause) = &writes {
            tracing::warn!(
                dependency = dependency.name(),
                cause,
                "a store takes no writes, and serves reads"
            );
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
    let answers = futures::future::join_all(asked).await;
    let running = health.ready.load(Ordering::SeqCst);
    let well = running && answers.iter().all(|(ok, _)| *ok);
    (well, answers.into_iter().map(|(_, answer)| answer).collect())
}
