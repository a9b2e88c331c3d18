//! Who may call a service over gRPC: each caller by a token of its own, and the methods that it is granted.

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

use crate::Surroundings;
use crate::config::Secret;
use crate::transport::{grpc_edge, status_of};

/// Who may call this service over gRPC: the table `[grpc]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcConfig {
    /// By the caller's name, as in `[grpc.callers.recommendations]`.
    pub callers: BTreeMap<String, GrpcCaller>,
}

/// Somebody who may call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcCaller {
    /// What it proves itself with; nobody comes in with an empty one.
    pub token: Secret,
    /// What it may call, as `portal.users.v1.Users/GetConsent`.
    pub methods: Vec<String>,
}

impl GrpcConfig {
    /// Every fault, where the service answers `methods`.
    pub fn faults(&self, methods: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, caller) in &self.callers {
            let key = format!("grpc.callers.{name}");
            faults.extend(token_fault(&format!("{key}.token"), &caller.token));
            for method in caller.methods.iter().filter(|method| !methods.contains(&method.as_str())) {
                faults.push(format!("{key}.methods: there is no {method}; there are {}", methods.join(", ")));
            }
            let shared = self.callers.iter().find(|(other, known)| {
                *other < name && is_set(&caller.token) && known.token.expose() == caller.token.expose()
            });
            faults
                .extend(shared.map(|(other, _)| format!("{key}.token is that of {other}: each has its own")));
        }
        faults
    }

    /// What production refuses: a caller that could never come in.
    pub fn unfit_for_production(&self) -> Vec<String> {
        let open = self.callers.iter().filter(|(_, caller)| !is_set(&caller.token));
        open.map(|(name, _)| format!("grpc.callers.{name}.token must be set in production")).collect()
    }
}

fn is_set(token: &Secret) -> bool {
    !token.expose().is_empty()
}

/// What is wrong with a token, if anything. An empty one is none.
pub fn token_fault(key: &str, token: &Secret) -> Option<String> {
    let text = token.expose();
    let good = text.is_empty()
        || (32..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    (!good).then(|| format!("{key} must be 32 to 256 visible ASCII characters, made at random"))
}

impl Surroundings {
    /// Puts a service's gRPC behind the edge that every one has. Neighbours in this process reach it as `inproc://name`: whoever
    /// composed them has let them in. What comes back is for the network, where each caller needs its token.
    pub fn serve_grpc(&self, name: &'static str, routes: Routes, config: &GrpcConfig) -> Routes {
        self.register_grpc(name, grpc_edge(name, routes.clone()));
        let guarded = routes.into_axum_router().layer(from_fn_with_state(Arc::new(Door::of(config)), admit));
        grpc_edge(name, Routes::from(guarded))
    }
}

struct Door {
    guests: Vec<Guest>,
}

struct Guest {
    name: String,
    token: [u8; 32],
    methods: Vec<String>,
}

impl Door {
    fn of(config: &GrpcConfig) -> Self {
        let known = config.callers.iter().filter(|(_, caller)| is_set(&caller.token));
        let guests = known.map(|(name, caller)| Guest {
            name: name.clone(),
            token: digest(caller.token.expose()),
            methods: caller.methods.clone(),
        });
        Self { guests: guests.collect() }
    }

    /// Finds the caller with this token. Every digest is compared in constant time, and all of them are: the time it takes
    /// reveals nothing about any token.
    fn guest(&self, headers: &HeaderMap) -> Option<&Guest> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let given = digest(token);
        let is_same = |guest: &Guest| bool::from(guest.token.ct_eq(&given));
        self.guests.iter().fold(None, |found, guest| if is_same(guest) { Some(guest) } else { found })
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let method = request.uri().path().trim_start_matches('/');
    let kind = match door.guest(request.headers()) {
        Some(guest) if guest.methods.iter().any(|granted| granted == method) => {
            return next.run(request).await;
        }
        Some(guest) => {
            tracing::warn!(
                caller = guest.name,
                "a gRPC call was refused: its caller is not granted this method"
            );
            Kind::Forbidden
        }
        None => {
            tracing::warn!("a gRPC call was refused: it came without a token that is known here");
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
    use crate::transport::Transport;

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

    /// A server on a port that says `ok` to both methods.
    async fn served(surroundings: &Surroundings, config: &GrpcConfig) -> SocketAddr {
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
    async fn over_the_network_a_caller_comes_in_with_its_token_and_calls_what_it_is_granted() {
        let surroundings = Surroundings::alone();
        let config = config(&[("recommendations", TOKEN, &[CONSENT]), ("orchestrator", OTHER, &[USER])]);
        let url = format!("http://{}", served(&surroundings, &config).await);
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
    async fn a_caller_whose_token_is_empty_does_not_come_in_with_an_empty_one() {
        let surroundings = Surroundings::alone();
        let url = format!("http://{}", served(&surroundings, &config(&[("nobody", "", &[CONSENT])])).await);
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
        served(&surroundings, &GrpcConfig::default()).await;
        let transport = surroundings.transport("inproc://users").expect("a neighbour");
        assert_eq!(call(transport, CONSENT).await, Code::Ok);
    }

    #[test]
    fn every_fault_of_the_callers_is_named_and_no_token_is_quoted() {
        let config =
            config(&[("a", "short-secret", &[CONSENT]), ("b", TOKEN, &["Nothing"]), ("c", TOKEN, &[])]);
        let faults = config.faults(&[CONSENT, USER]);
        let keys =
            ["grpc.callers.a.token must be", "grpc.callers.b.methods", "grpc.callers.c.token is that of b"];
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
