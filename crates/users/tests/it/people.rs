//! The service under test, and the people who use it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use base64::Engine;
use chassis::config::Settings;
use chassis::http::{EdgeConfig, ThrottleConfig, edge};
use chassis::{GrpcCaller, Service, Step, Surroundings};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kernel::{ManualClock, Timestamp};
use serde_json::{Value, json};
use testkit::Folder;
use tower::ServiceExt;
use users::Config;

pub const PASSWORD: &str = "correct horse battery";
/// The token of a gRPC caller that may call every method.
pub const TOKEN: &str = "a-token-of-the-tests-for-every-method";
/// The token of a gRPC caller that may only read consents.
pub const CONSENT_ONLY: &str = "a-token-of-the-tests-for-consent-alone";
pub const ADMIN: &str = "admin@example.org";

/// The cost of a hash in these tests: memory in KiB and passes, as low as possible. At the real cost, hashing
/// would be most of their work. The validation of the settings refuses this cost, so the tests set it after
/// the validation.
const CHEAP: (u32, u32) = (8, 1);

/// The cost of hashing in a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hashing {
    /// As low as possible: see [`CHEAP`].
    Cheap,
    /// As configured: for tests of the cost, the duration or the queue of hashing.
    AsConfigured,
}

/// The service, with its stores in a folder of its own.
pub struct Users {
    pub folder: Folder,
    pub clock: Arc<ManualClock>,
    pub surroundings: Surroundings,
    pub service: Service,
    router: Router,
    hashing: Hashing,
}

/// A person who is logged in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub token: String,
    /// The refresh token in the person's browser.
    pub cookie: String,
}

impl Person {
    /// Reads the person from the answer to a login or a refresh.
    pub fn of(answer: &Answer) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            id: text(&answer.json["user"]["id"]),
            token: text(&answer.json["access_token"]),
            cookie: answer.cookie().expect("a cookie"),
        }
    }

    /// Returns the claims of the access token.
    pub fn claims(&self) -> Value {
        let part = self.token.split('.').nth(1).expect("claims");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    /// Checks the status; a failure shows the answer.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Checks the status and the code of a problem.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json["code"], code, "{}", answer.text);
        answer
    }

    /// Returns the pointers and codes of the fields that break a rule.
    pub fn faults(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }

    /// Returns the refresh token that the answer sets; empty if the answer clears it.
    pub fn cookie(&self) -> Option<String> {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text"));
        let values = lines.map(|line| line.strip_prefix("refresh_token=").expect("our cookie"));
        let values: Vec<&str> = values.map(|value| value.split(';').next().unwrap_or_default()).collect();
        assert!(values.iter().all(|value| *value == values[0]), "all paths have one token");
        values.first().map(|value| (*value).to_owned())
    }

    /// Returns the paths of the cookies that the answer sets or clears.
    pub fn cookie_paths(&self) -> Vec<&str> {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text"));
        lines.filter_map(|line| line.split("; ").find_map(|part| part.strip_prefix("Path="))).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A request under construction.
pub struct Ask {
    router: Router,
    builder: http::request::Builder,
    body: Body,
}

impl Ask {
    pub fn by(self, person: &Person) -> Self {
        self.header("authorization", &format!("Bearer {}", person.token))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds a header of any bytes.
    pub fn raw_header(mut self, name: &str, value: http::HeaderValue) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds the cookie as a browser sends it.
    pub fn cookie(self, refresh_token: &str) -> Self {
        self.header("cookie", &format!("theme=dark; refresh_token={refresh_token}"))
    }

    /// Sends the request over a connection from this address.
    pub fn from(mut self, address: &str) -> Self {
        let address: IpAddr = address.parse().expect("an address");
        self.builder = self.builder.extension(ConnectInfo(SocketAddr::new(address, 40_000)));
        self
    }

    pub fn seen(self, version: u32) -> Self {
        self.header("if-match", &format!("\"v{version}\""))
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Body::from(body.to_string());
        self.header("content-type", "application/json")
    }

    /// Sets a body with the content type of JSON and any content.
    pub fn text(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    pub async fn send(self) -> Answer {
        let request: Request<Body> = self.builder.body(self.body).expect("a request");
        let response = self.router.oneshot(request).await.expect("routers always answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, text, json }
    }
}

impl Users {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts the service with a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::begin(Hashing::Cheap, change).await
    }

    /// Starts the service with a changed configuration and the configured cost of hashing.
    pub async fn with_real_hashing(change: impl FnOnce(&mut Config)) -> Self {
        Self::begin(Hashing::AsConfigured, change).await
    }

    async fn begin(hashing: Hashing, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_763_712_000_123)));
        Self::at(Folder::new(), clock, hashing, change).await
    }

    /// Starts the service over the files in `folder`.
    async fn at(
        folder: Folder,
        clock: Arc<ManualClock>,
        hashing: Hashing,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        crate::log::start();
        let mut config: Config = toml::from_str(Config::DEFAULTS).expect("the defaults");
        config.store.url = folder.sqlite("users.db").into();
        config.intake.url = folder.sqlite("users-intake.db").into();
        config.bus.url = format!("local:{}", folder.join("bus.db").display()).into();
        config.signing.key_file = folder.join("signing-key.pem").display().to_string();
        config.bootstrap_admin.email = ADMIN.to_owned();
        config.bootstrap_admin.password = PASSWORD.to_owned().into();
        // The clock of the tests stands still, and all people of a test have one address.
        config.throttle.logins_per_account_and_address = 10_000;
        config.throttle.logins_per_account = 10_000;
        config.throttle.logins_per_address = 10_000;
        config.throttle.registrations_per_address = 10_000;
        for (name, token, methods) in [
            ("recommendations", CONSENT_ONLY, &["GetConsent"][..]),
            ("all", TOKEN, &["GetUser", "GetUsers", "GetConsent", "RecordLabelsView"]),
        ] {
            let methods = methods.iter().map(|method| format!("portal.users.v1.Users/{method}")).collect();
            config
                .grpc
                .callers
                .insert(name.to_owned(), GrpcCaller { token: token.to_owned().into(), methods });
        }
        change(&mut config);
        assert_eq!(config.validate(), Vec::<String>::new());
        if hashing == Hashing::Cheap {
            (config.passwords.memory_kib, config.passwords.passes) = CHEAP;
        }
        let surroundings = Surroundings::one_process().with_clock(clock.clone());
        let service = users::build(config, surroundings.clone()).await.expect("the service is built");
        let router = edge(
            "users",
            service.http.clone(),
            EdgeConfig { throttle: ThrottleConfig::none(), ..EdgeConfig::default() },
        );
        Self { folder, clock, surroundings, service, router, hashing }
    }

    /// Drops the service without closing anything, like a crash, and starts it again over the same folder.
    pub async fn crash(self) -> Self {
        self.crash_with(|_| ()).await
    }

    /// Crashes and restarts the service, and changes the folder in between.
    pub async fn crash_with(self, meanwhile: impl FnOnce(&Folder)) -> Self {
        self.restart(meanwhile, |_| ()).await
    }

    /// Crashes the service, and restarts it with a changed configuration.
    pub async fn crash_into(self, change: impl FnOnce(&mut Config)) -> Self {
        self.restart(|_| (), change).await
    }

    async fn restart(self, meanwhile: impl FnOnce(&Folder), change: impl FnOnce(&mut Config)) -> Self {
        let Self { folder, clock, surroundings, service, router, hashing } = self;
        // A verifier of tokens holds the surroundings, which hold the routes, which hold the verifier. In a
        // portal this circle lives as long as the process; here it ends when other routes get the name.
        surroundings.register_http("users", Router::new());
        surroundings.register_grpc("users", tonic::service::Routes::default());
        drop((service, router, surroundings));
        meanwhile(&folder);
        Self::at(folder, clock, hashing, change).await
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        let builder = Request::builder().method(method).uri(path);
        Ask { router: self.router.clone(), builder, body: Body::empty() }
    }

    pub async fn register(&self, name: &str, email: &str) -> Answer {
        let body = json!({"name": name, "email": email, "password": PASSWORD});
        self.ask("POST", "/").json(&body).send().await
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.ask("POST", "/sessions").json(&json!({"email": email, "password": password})).send().await
    }

    /// Registers a person, who then logs in.
    pub async fn reader(&self, email: &str) -> Person {
        self.register("Reader", email).await.is(201);
        self.person(email).await
    }

    pub async fn admin(&self) -> Person {
        self.person(ADMIN).await
    }

    /// Registers a person, gives them this role, and logs them in.
    pub async fn with_role(&self, email: &str, role: &str) -> Person {
        let person = self.reader(email).await;
        let path = format!("/{}/roles", person.id);
        self.ask("PUT", &path).by(&self.admin().await).json(&json!({"role": role})).send().await.is(200);
        self.person(email).await
    }

    /// Logs in a registered person.
    pub async fn person(&self, email: &str) -> Person {
        Person::of(&self.log_in(email, PASSWORD).await.is(201))
    }

    /// Refreshes a session.
    pub async fn refresh(&self, cookie: &str) -> Answer {
        self.ask("POST", "/sessions/refresh").cookie(cookie).send().await
    }

    /// Runs the workers until they are idle.
    pub async fn settle(&self) {
        for worker in &self.service.workers {
            while worker.step().await.expect("the step is done") == Step::Worked {}
        }
    }

    /// Advances the clock.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Closes one of the stores under the running service: 0 is the store of accounts, 1 is the intake.
    pub async fn close_store(&mut self, which: usize) {
        self.service.closers.remove(which).await;
    }

    /// Runs a statement on one of the service's files.
    pub async fn sql(&self, file: &str, statement: &'static str) {
        let pool = self.file(file).await;
        sqlx::query(statement).execute(&pool).await.expect("is done");
        pool.close().await;
    }

    /// Returns the number that a query on one of the service's files finds.
    pub async fn rows(&self, file: &str, query: &'static str) -> i64 {
        let pool = self.file(file).await;
        let number = sqlx::query_scalar(query).fetch_one(&pool).await.expect("a number");
        pool.close().await;
        number
    }

    /// Opens one of the service's files directly.
    pub async fn file(&self, name: &str) -> sqlx::SqlitePool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.join(name));
        sqlx::SqlitePool::connect_with(options).await.expect("opens")
    }
}
