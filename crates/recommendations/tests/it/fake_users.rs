//! A fake of the service users: the keys of its tokens, and consents.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::transport::{grpc_edge, status_of};
use chassis::{AUDIENCE, Claims, Surroundings};
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{Kind, Refusal, Role, Sections, UserId};
use proto::users::v1::users_server::{Users, UsersServer};
use proto::users::v1::{
    GetConsentRequest, GetConsentResponse, GetUserRequest, GetUserResponse, GetUsersRequest,
    GetUsersResponse, RecordLabelsViewRequest, RecordLabelsViewResponse,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub const ISSUER: &str = "https://portal.example";
const KEY_ID: &str = "test";
const SECRET: [u8; 32] = [7; 32];

/// The behaviour of the fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers.
    Answer,
    /// It refuses because its store is unavailable.
    Unavailable,
    /// It refuses this caller.
    Forbid,
    /// It panics.
    Panic,
    /// It never answers.
    Hang,
}

struct State {
    consents: Mutex<HashMap<UserId, GetConsentResponse>>,
    views: Mutex<Vec<RecordLabelsViewRequest>>,
    behaviour: Mutex<Behaviour>,
    calls: AtomicUsize,
    cancelled_calls: Arc<AtomicUsize>,
}

/// The fake of the service users.
#[derive(Clone)]
pub struct FakeUsers(Arc<State>);

impl FakeUsers {
    /// Registers the fake in these surroundings.
    pub fn register_in(surroundings: &Surroundings) -> Self {
        let fake = Self::new();
        surroundings
            .register_http("users", Router::new().route("/.well-known/jwks.json", get(|| async { jwks() })));
        surroundings.register_grpc("users", fake.routes());
        fake
    }

    /// Creates the fake, which is reachable by its routes only.
    pub fn new() -> Self {
        let state = State {
            consents: Mutex::default(),
            views: Mutex::default(),
            behaviour: Mutex::new(Behaviour::Answer),
            calls: AtomicUsize::default(),
            cancelled_calls: Arc::default(),
        };
        Self(Arc::new(state))
    }

    /// Returns its gRPC routes.
    pub fn routes(&self) -> tonic::service::Routes {
        grpc_edge("users", tonic::service::Routes::new(UsersServer::new(self.clone())))
    }

    /// Sets the consent of a person.
    pub fn set_consent(&self, user: UserId, permits: bool, version: u32) {
        let consent = GetConsentResponse { personalisation: permits, history: permits, version };
        self.0.consents.lock().expect("no panic").insert(user, consent);
    }

    /// Sets the behaviour.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock().expect("no panic") = behaviour;
    }

    /// Returns the views of labels that were recorded.
    pub fn views(&self) -> Vec<RecordLabelsViewRequest> {
        self.0.views.lock().expect("no panic").clone()
    }

    /// Returns the number of calls about a consent.
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Returns the number of calls that the caller cancelled.
    pub fn cancelled_calls(&self) -> usize {
        self.0.cancelled_calls.load(Ordering::SeqCst)
    }

    /// Answers a call only if the fake is to answer.
    async fn carry_out_behaviour(&self) -> Result<(), Status> {
        let refuse = |kind, code, detail: &str| Err(status_of(&Refusal::new(kind, code, detail)));
        let behaviour = *self.0.behaviour.lock().expect("no panic");
        match behaviour {
            Behaviour::Answer => Ok(()),
            Behaviour::Unavailable => {
                refuse(Kind::Unavailable, "store_unavailable", "The store is unavailable.")
            }
            Behaviour::Forbid => refuse(Kind::Forbidden, "forbidden", "This caller is not allowed."),
            Behaviour::Panic => panic!("the test asked for a panic"),
            Behaviour::Hang => {
                let _guard = CountOnDrop(self.0.cancelled_calls.clone());
                std::future::pending().await
            }
        }
    }
}

struct CountOnDrop(Arc<AtomicUsize>);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Users for FakeUsers {
    async fn get_user(&self, _: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        unreachable!("recommendations never asks for accounts")
    }

    async fn get_users(&self, _: Request<GetUsersRequest>) -> Result<Response<GetUsersResponse>, Status> {
        unreachable!("recommendations never asks for accounts")
    }

    async fn get_consent(
        &self,
        request: Request<GetConsentRequest>,
    ) -> Result<Response<GetConsentResponse>, Status> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        self.carry_out_behaviour().await?;
        let user: UserId = request.into_inner().id.parse().expect("an id");
        let consent = self.0.consents.lock().expect("no panic").get(&user).copied();
        let unknown =
            || status_of(&Refusal::new(Kind::NotFound, "not_found", "This account does not exist."));
        consent.map(Response::new).ok_or_else(unknown)
    }

    async fn record_labels_view(
        &self,
        request: Request<RecordLabelsViewRequest>,
    ) -> Result<Response<RecordLabelsViewResponse>, Status> {
        self.carry_out_behaviour().await?;
        self.0.views.lock().expect("no panic").push(request.into_inner());
        Ok(Response::new(RecordLabelsViewResponse {}))
    }
}

fn jwks() -> String {
    let public = ed25519_dalek::SigningKey::from_bytes(&SECRET).verifying_key();
    let key = serde_json::json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
    });
    serde_json::json!({ "keys": [key] }).to_string()
}

/// Returns an access token of an account, valid for 15 minutes from `now` (in seconds).
pub fn token(user: UserId, role: Role, now: i64) -> String {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user,
        name: "A Reader".to_owned(),
        role,
        sections: Sections::All,
        history: true,
        sid: Uuid::nil(),
        iat: now,
        exp: now + 900,
    };
    let pair = KeypairBytes { secret_key: SECRET, public_key: None };
    let der = pair.to_pkcs8_der().expect("a key");
    let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
    chassis::install_ed25519();
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("a token")
}
