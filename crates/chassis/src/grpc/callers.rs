//! The callers of a service over gRPC: each has a token of its own, and the methods that it may call.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kernel::{Kind, Refusal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tonic::service::Routes;

use super::transport::{grpc_edge, status_of};
use crate::net::Surroundings;
use crate::values::Secret;

/// The callers of this service over gRPC: the table `[grpc]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcConfig {
    /// The callers by name, as in `[grpc.callers.recommendations]`.
    pub callers: BTreeMap<String, GrpcCaller>,
}

/// A caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcCaller {
    /// The token that proves its identity. An empty one admits no caller.
    pub token: Secret,
    /// The methods that it may call, as `portal.users.v1.Users/GetConsent`.
    pub methods: Vec<String>,
}

impl GrpcConfig {
    /// Returns every fault, for a service that answers `methods`.
    pub fn faults(&self, methods: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, caller) in &self.callers {
            let key = format!("grpc.callers.{name}");
            faults.extend(token_fault(&format!("{key}.token"), &caller.token));
            for method in caller.methods.iter().filter(|method| !methods.contains(&method.as_str())) {
                faults.push(format!(
                    "{key}.methods: {method} does not exist; the methods are {}",
                    methods.join(", ")
                ));
            }
            let shared = self.callers.iter().find(|(other, known)| {
                *other < name && is_set(&caller.token) && known.token.expose() == caller.token.expose()
            });
            faults.extend(shared.map(|(other, _)| {
                format!("{key}.token is the same as that of {other}; each caller needs its own")
            }));
        }
        faults
    }

    /// Returns what production refuses: callers without a token.
    pub fn unfit_for_production(&self) -> Vec<String> {
        let open = self.callers.iter().filter(|(_, caller)| !is_set(&caller.token));
        open.map(|(name, _)| format!("grpc.callers.{name}.token must be set in production")).collect()
    }
}

fn is_set(token: &Secret) -> bool {
    !token.expose().is_empty()
}

/// Returns the fault of a token, if it has one. An empty token means that there is none.
pub fn token_fault(key: &str, token: &Secret) -> Option<String> {
    let text = token.expose();
    let is_valid = text.is_empty()
        || (32..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_valid).then(|| format!("{key} must be 32 to 256 random visible ASCII characters"))
}

impl Surroundings {
    /// Puts the gRPC of a service behind the common edge, and registers it for neighbours in this process as
    /// `inproc://name`, which need no token. Returns the routes for the network, where each caller needs its
    /// token.
    pub fn serve_grpc(&self, name: &'static str, routes: Routes, config: &GrpcConfig) -> Routes {
        self.register_grpc(name, grpc_edge(name, routes.clone()));
        let guarded =
            routes.into_axum_router().layer(from_fn_with_state(Arc::new(AllowList::of(config)), admit));
        grpc_edge(name, Routes::from(guarded))
    }
}

/// The callers that may enter.
struct AllowList {
    callers: Vec<KnownCaller>,
}

struct KnownCaller {
    name: String,
    /// The SHA-256 of its token.
    token: [u8; 32],
    methods: Vec<String>,
}

impl AllowList {
    fn of(config: &GrpcConfig) -> Self {
        let known = config.callers.iter().filter(|(_, caller)| is_set(&caller.token));
        let callers = known.map(|(name, caller)| KnownCaller {
            name: name.clone(),
            token: digest(caller.token.expose()),
            methods: caller.methods.clone(),
        });
        Self { callers: callers.collect() }
    }

    /// Finds the caller with this token. Every digest is compared in constant time, and all of them are: the
    /// time it takes reveals nothing about any token.
    fn find(&self, headers: &HeaderMap) -> Option<&KnownCaller> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let presented = digest(token);
        let is_same = |caller: &KnownCaller| bool::from(caller.token.ct_eq(&presented));
        self.callers.iter().fold(None, |found, caller| if is_same(caller) { Some(caller) } else { found })
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

async fn admit(State(allowed): State<Arc<AllowList>>, request: Request, next: Next) -> Response {
    let method = request.uri().path().trim_start_matches('/');
    let kind = match allowed.find(request.headers()) {
        Some(caller) if caller.methods.iter().any(|granted| granted == method) => {
            return next.run(request).await;
        }
        Some(caller) => {
            tracing::warn!(
                caller = caller.name,
                "a gRPC call was refused: its caller may not call this method"
            );
            Kind::Forbidden
        }
        None => {
            tracing::warn!("a gRPC call was refused: it has no known token");
            Kind::Unauthenticated
        }
    };
    let code = if kind == Kind::Forbidden { "role_required" } else { "unauthenticated" };
    status_of(&Refusal::new(kind, code, kind.sentence())).into_http::<axum::body::Body>().into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use tonic::Code;
    use tonic::body::Body;
    use tower::ServiceExt;

    use super::*;
    use crate::grpc::transport::Transport;

    const CONSENT: &str = "portal.users.v1.Users/GetConsent";
    const USER: &str = "portal.users.v1.Users/GetUser";
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn secret(text: &str) -> Secret {
        text.to_owned().into()
    }

    fn config(callers: &[(&str, &str, &[&str])]) -> GrpcConfig {
        let callers = callers.iter().map(|(name, token, methods)| {
            let methods = methods.iter().map(|method| (*method).to_owned()).collect();
            ((*name).to_owned(), GrpcCaller { token: secret(token), methods })
        });
        GrpcConfig { callers: callers.collect() }
    }

    /// Starts a server that answers `ok` to both methods.
    async fn serve(surroundings: &Surroundings, config: &GrpcConfig) -> SocketAddr {
        let ok = || async { ([("content-type", "application/grpc"), ("grpc-status", "0")], "") };
        let methods = [CONSENT, USER].iter().fold(Router::new(), |router, method| {
            router.route(&format!("/{method}"), axum::routing::post(ok))
        });
        let routes = surroundings.serve_grpc("users", Routes::from(methods), config);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_routes(routes);
        drop(crate::spawn("test.grpc", server.serve_with_incoming(incoming)));
        address
    }

    async fn call(transport: Transport, method: &str) -> Code {
        let request = http::Request::post(format!("/{method}")).header("content-type", "application/grpc");
        let answer =
            transport.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        let code = answer.headers().get("grpc-status").expect("a status").to_str().expect("text");
        Code::from_i32(code.parse().expect("a number"))
    }

    #[tokio::test]
    async fn over_the_network_a_caller_needs_its_token_and_calls_only_its_methods() {
        let surroundings = Surroundings::alone();
        let config = config(&[("recommendations", TOKEN, &[CONSENT]), ("orchestrator", OTHER, &[USER])]);
        let url = format!("http://{}", serve(&surroundings, &config).await);
        let with = |token: &str| surroundings.transport(&url).expect("an address").with_token(&secret(token));
        assert_eq!(call(with(TOKEN), CONSENT).await, Code::Ok);
        assert_eq!(call(with(OTHER), USER).await, Code::Ok);
        assert_eq!(call(with(TOKEN), USER).await, Code::PermissionDenied);
        assert_eq!(call(with(OTHER), CONSENT).await, Code::PermissionDenied);
        assert_eq!(call(with(TOKEN), "portal.users.v1.Users/Nothing").await, Code::PermissionDenied);
        for wrong in ["", "0123456789abcdef0123456789abcdeF", &TOKEN[1..], &format!("{TOKEN}0")] {
            assert_eq!(call(with(wrong), CONSENT).await, Code::Unauthenticated, "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_empty_token_admits_no_caller() {
        let surroundings = Surroundings::alone();
        let url = format!("http://{}", serve(&surroundings, &config(&[("unset", "", &[CONSENT])])).await);
        let answer = |bearer: &'static str| {
            let transport = surroundings.transport(&url).expect("an address");
            let request = http::Request::post(format!("/{CONSENT}")).header(AUTHORIZATION, bearer);
            async move {
                transport.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer")
            }
        };
        for bearer in ["Bearer ", "Bearer", "Basic Og=="] {
            assert_eq!(answer(bearer).await.headers()["grpc-status"], "16", "{bearer}");
        }
    }

    #[tokio::test]
    async fn a_neighbour_in_the_same_process_needs_no_token() {
        let surroundings = Surroundings::one_process();
        serve(&surroundings, &GrpcConfig::default()).await;
        let transport = surroundings.transport("inproc://users").expect("a neighbour");
        assert_eq!(call(transport, CONSENT).await, Code::Ok);
    }

    #[test]
    fn every_fault_of_a_caller_is_reported_and_no_token_is_quoted() {
        let config =
            config(&[("a", "short-secret", &[CONSENT]), ("b", TOKEN, &["Nothing"]), ("c", TOKEN, &[])]);
        let faults = config.faults(&[CONSENT, USER]);
        let keys = [
            "grpc.callers.a.token must be",
            "grpc.callers.b.methods",
            "grpc.callers.c.token is the same as that of b",
        ];
        assert_eq!(faults.len(), keys.len(), "{faults:?}");
        for (fault, key) in faults.iter().zip(keys) {
            assert!(
                fault.starts_with(key) && !fault.contains("short-secret") && !fault.contains(TOKEN),
                "{fault}"
            );
        }
        assert_eq!(config.unfit_for_production(), Vec::<String>::new());
        let unset = self::config(&[("a", "", &[CONSENT])]);
        assert_eq!(unset.unfit_for_production(), ["grpc.callers.a.token must be set in production"]);
    }
}
