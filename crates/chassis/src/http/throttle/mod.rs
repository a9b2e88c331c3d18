//! Throttling: the request limits of one client and of one account. Faster requests are refused with 429 and
//! `Retry-After`.
//!
//! Every process counts separately and in memory, so N replicas together allow N times as much. Limits that
//! must hold over all replicas (logins) are counted in a store.
//!
//! Requests are counted in two places. The edge knows the client, the method and the address. The guard knows
//! the account and the row of the matrix, and therefore whether the route is costly.

mod limiter;
mod window;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;

use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use kernel::UserId;
use serde::{Deserialize, Serialize};

use self::limiter::{Class, Limiter, Verdict};
pub use self::window::Window;
use super::client::ClientKey;
use super::problem::{Problem, of_status};
use crate::observe::metrics::SHED;

/// The limits of a listener. Each is a list of windows that all apply; an empty list means no limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// The requests of one client: an IPv4 address, or the first 64 bits of an IPv6 address, which one
    /// household shares.
    pub client: Vec<Window>,
    /// The requests of one account from all addresses.
    pub account: Vec<Window>,
    /// The writes of one client.
    pub writes: Vec<Window>,
    /// The GETs of one client for the same address that are not answered from a cache.
    pub same_address: Vec<Window>,
    /// The requests of one client to all costly routes of the matrix together.
    pub costly: Vec<Window>,
    /// The requests of one client to `/livez` and `/readyz`.
    pub probes: Vec<Window>,
}

impl ThrottleConfig {
    /// Returns a configuration without limits.
    pub fn none() -> Self {
        Self {
            client: Vec::new(),
            account: Vec::new(),
            writes: Vec::new(),
            same_address: Vec::new(),
            costly: Vec::new(),
            probes: Vec::new(),
        }
    }
}

impl Default for ThrottleConfig {
    /// Returns the defaults of the product.
    fn default() -> Self {
        let windows = |texts: &[&str]| -> Vec<Window> {
            texts.iter().map(|text| text.parse().expect("the defaults are limits")).collect()
        };
        Self {
            client: windows(&["50/second burst 200", "100000/day"]),
            account: windows(&["50/second burst 200", "100000/day"]),
            writes: windows(&["20/second burst 40"]),
            same_address: windows(&["10/second burst 20"]),
            costly: windows(&["5/second burst 10"]),
            probes: windows(&["20/second burst 40"]),
        }
    }
}

/// The mark of a response from a cache, which cost no work. The limit of the same address does not count it.
#[derive(Debug, Clone, Copy)]
pub struct FromCache;

/// The request counters of a listener.
pub(crate) struct Throttle {
    client: Limiter<ClientKey>,
    account: Limiter<UserId>,
    writes: Limiter<ClientKey>,
    same_address: Limiter<(ClientKey, u64)>,
    costly: Limiter<ClientKey>,
    probes: Limiter<ClientKey>,
    hasher: RandomState,
    policy: Option<HeaderValue>,
}

/// The counters of an admitted request, for the headers of its response.
#[derive(Clone, Copy)]
pub(crate) struct Admission {
    verdict: Option<Verdict>,
    address: Option<(ClientKey, u64)>,
}

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Throttle {
    pub(crate) fn new(config: &ThrottleConfig) -> Self {
        let client = Limiter::new(Class::Client, &config.client);
        Self {
            policy: client.policy(),
            client,
            account: Limiter::new(Class::Other("account"), &config.account),
            writes: Limiter::new(Class::Other("writes"), &config.writes),
            same_address: Limiter::new(Class::Other("address"), &config.same_address),
            costly: Limiter::new(Class::Other("costly"), &config.costly),
            probes: Limiter::new(Class::Other("probes"), &config.probes),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of the client at `peer` before any work is done for it. Otherwise many parallel
    /// requests would all run before the first one is counted. A client without a known address (an
    /// in-process test) is not limited.
    pub(crate) fn admit(
        &self,
        peer: Option<IpAddr>,
        method: &Method,
        address: &str,
    ) -> Result<Admission, Problem> {
        let Some(client) = peer.map(ClientKey::from) else {
            return Ok(Admission { verdict: None, address: None });
        };
        let verdict = check(&self.client, self.client.take(client))?;
        if matches!(*method, Method::GET | Method::HEAD) {
            let address = (client, self.hasher.hash_one(address));
            check(&self.same_address, self.same_address.take(address))?;
            return Ok(Admission { verdict, address: Some(address) });
        }
        if *method != Method::OPTIONS {
            check(&self.writes, self.writes.take(client))?;
        }
        Ok(Admission { verdict, address: None })
    }

    /// Counts a request of a verified account.
    pub(crate) fn admit_account(&self, account: UserId) -> Result<(), Problem> {
        check(&self.account, self.account.take(account)).map(drop)
    }

    /// Counts a request of the client at `peer` to a costly route, even if a cache will answer it.
    pub(crate) fn admit_costly(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let Some(client) = peer.map(ClientKey::from) else { return Ok(()) };
        check(&self.costly, self.costly.take(client)).map(drop)
    }

    /// Counts a probe of the client at `peer`. Probes have their own limit: a client that sends too many
    /// other requests must not make the process look dead.
    pub(crate) fn admit_probe(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let Some(client) = peer.map(ClientKey::from) else { return Ok(()) };
        check(&self.probes, self.probes.take(client)).map(drop)
    }

    /// Undoes the counting of a GET that cost no work, and adds the rest of the limit to the response
    /// (draft-ietf-httpapi-ratelimit-headers). A response that shared caches may store has only the policy,
    /// because the rest belongs to one client. A refused request cost no work. Its response has the limit
    /// that refused it, or none if a store counts (logins): the rest of another limit would not say when to
    /// retry.
    pub(crate) fn annotate(&self, admission: Admission, response: &mut Response) {
        let refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
        let free = refused || response.extensions().get::<FromCache>().is_some();
        if let Some(address) = admission.address.filter(|_| free) {
            self.same_address.give_back(address);
        }
        let Some(policy) = self.policy.clone() else { return };
        let shared = is_public(response.headers());
        let headers = response.headers_mut();
        headers.entry(RATELIMIT_POLICY).or_insert(policy);
        if let Some(left) =
            admission.verdict.filter(|_| !shared && !refused).and_then(|verdict| verdict.header())
        {
            headers.insert(RATELIMIT, left);
        }
    }
}

fn is_public(headers: &HeaderMap) -> bool {
    headers
        .get(CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("public"))
}

/// Turns the verdict of a limiter into a refusal with the policy of that limiter, if the request may not
/// pass.
fn check<K>(limiter: &Limiter<K>, verdict: Option<Verdict>) -> Result<Option<Verdict>, Problem>
where
    K: Hash + Eq + Send + Sync + 'static,
{
    match verdict {
        Some(verdict) if !verdict.passes => {
            SHED.count(["throttled".into()]);
            let problem = Problem::from(verdict);
            Err(limiter
                .policy()
                .into_iter()
                .fold(problem, |it, policy| it.with_header(RATELIMIT_POLICY, policy)))
        }
        verdict => Ok(verdict),
    }
}

impl Verdict {
    fn header(&self) -> Option<HeaderValue> {
        let seconds = self.more_after.as_secs_f64().ceil();
        let name = self.class.name(self.window);
        HeaderValue::from_str(&format!("\"{name}\";r={};t={seconds}", self.left)).ok()
    }
}

impl From<Verdict> for Problem {
    fn from(verdict: Verdict) -> Self {
        // Whole seconds, and at least one.
        let seconds = verdict.more_after.as_secs_f64().ceil().max(1.0);
        let problem = of_status(StatusCode::TOO_MANY_REQUESTS);
        let problem = match HeaderValue::from_str(&seconds.to_string()) {
            Ok(seconds) => problem.with_header(RETRY_AFTER, seconds),
            Err(_) => problem,
        };
        verdict.header().into_iter().fold(problem, |problem, left| problem.with_header(RATELIMIT, left))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn throttle(config: ThrottleConfig) -> Throttle {
        Throttle::new(&config)
    }

    fn few() -> ThrottleConfig {
        let windows = |text: &str| vec![text.parse().expect("a limit")];
        ThrottleConfig {
            client: windows("5/minute"),
            account: windows("2/minute"),
            writes: windows("2/minute"),
            same_address: windows("3/minute"),
            costly: windows("1/minute"),
            probes: windows("2/minute"),
        }
    }

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn writes_have_a_separate_limit_and_so_has_each_client() {
        let throttle = throttle(few());
        let post = |client| throttle.admit(peer(client), &Method::POST, "/users/v1/");
        assert!(post("192.0.2.1").is_ok() && post("192.0.2.1").is_ok());
        let refused = post("192.0.2.1").err().expect("one too many").into_response();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[RETRY_AFTER], "30");
        assert_eq!(refused.headers()[RATELIMIT], "\"writes-minute\";r=0;t=30");
        assert!(throttle.admit(peer("192.0.2.1"), &Method::GET, "/").is_ok(), "it may still read");
        assert!(post("192.0.2.2").is_ok());
    }

    #[test]
    fn a_household_is_one_client_and_a_mapped_address_equals_its_ipv4_address() {
        let throttle = throttle(few());
        let read = |client: &str, path: &str| throttle.admit(peer(client), &Method::GET, path).is_ok();
        assert!((0..5).all(|host| read(&format!("2001:db8::{host}"), &format!("/{host}"))));
        assert!(!read("2001:db8::ffff", "/"));
        assert!(read("2001:db8:0:1::1", "/"), "the next household");
        assert!((0..5).all(|number| read("192.0.2.9", &format!("/{number}"))));
        assert!(!read("::ffff:192.0.2.9", "/"));
    }

    #[test]
    fn reads_of_the_same_address_are_counted_unless_a_cache_answers() {
        let throttle = throttle(few());
        let read = |path| throttle.admit(peer("192.0.2.1"), &Method::GET, path);
        let answer = |admission, cached: bool| {
            let mut response = StatusCode::OK.into_response();
            if cached {
                response.extensions_mut().insert(FromCache);
            }
            throttle.annotate(admission, &mut response);
            response
        };
        let first = answer(read("/a").expect("passes"), true);
        assert_eq!(first.headers()[RATELIMIT_POLICY], "\"minute\";q=5;w=60;burst=5");
        assert_eq!(first.headers()[RATELIMIT], "\"minute\";r=4;t=0");
        for _ in 0..3 {
            answer(read("/a").expect("passes"), false);
        }
        assert!(read("/a").is_err());
    }

    #[test]
    fn a_shared_response_has_no_data_of_one_client() {
        let throttle = throttle(few());
        let admission = throttle.admit(peer("192.0.2.1"), &Method::GET, "/").expect("passes");
        let mut response = ([(CACHE_CONTROL, "public, max-age=5")], "news").into_response();
        throttle.annotate(admission, &mut response);
        assert!(
            response.headers().contains_key(RATELIMIT_POLICY) && !response.headers().contains_key(RATELIMIT)
        );
    }

    #[test]
    fn probes_have_a_separate_limit() {
        let throttle = throttle(few());
        let probe = || throttle.admit_probe(peer("192.0.2.1"));
        let read = |path: &str| throttle.admit(peer("192.0.2.1"), &Method::GET, path).is_ok();
        assert!((0..5).all(|number| read(&format!("/{number}"))) && !read("/more"));
        assert!(probe().is_ok() && probe().is_ok());
        assert_eq!(probe().expect_err("one too many").status(), StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn a_get_is_counted_when_it_is_admitted() {
        let throttle = throttle(few());
        let read = || throttle.admit(peer("192.0.2.1"), &Method::GET, "/a");
        let admitted: Vec<_> = (0..3).map(|_| read().expect("passes")).collect();
        assert!(read().is_err(), "three are in progress");
        let mut answer = StatusCode::OK.into_response();
        answer.extensions_mut().insert(FromCache);
        throttle.annotate(admitted[0], &mut answer);
        assert!(read().is_ok(), "one of them was answered from a cache");
    }

    #[test]
    fn an_account_has_one_limit_for_all_addresses() {
        let throttle = throttle(few());
        let account = UserId::new(uuid::Uuid::from_u128(1));
        assert!(throttle.admit_account(account).is_ok() && throttle.admit_account(account).is_ok());
        assert!(throttle.admit_account(account).is_err());
    }

    #[test]
    fn all_costly_routes_share_one_limit_of_a_client() {
        let throttle = throttle(few());
        let costly = |client| throttle.admit_costly(peer(client));
        assert!(costly("192.0.2.1").is_ok());
        let refused = costly("192.0.2.1").expect_err("one too many").into_response();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[RETRY_AFTER], "60");
        assert!(throttle.admit(peer("192.0.2.1"), &Method::GET, "/").is_ok(), "it may still read");
        assert!(costly("192.0.2.2").is_ok() && throttle.admit_costly(None).is_ok());
    }

    #[test]
    fn a_refusal_names_its_limit_and_does_not_count_for_its_address() {
        let throttle = throttle(few());
        let read = || throttle.admit(peer("192.0.2.1"), &Method::GET, "/a").expect("passes");
        assert!(throttle.admit_costly(peer("192.0.2.1")).is_ok());
        for _ in 0..4 {
            let admitted = read();
            let problem = throttle.admit_costly(peer("192.0.2.1")).expect_err("one too many");
            let mut refused = problem.into_response();
            throttle.annotate(admitted, &mut refused);
            assert_eq!(refused.headers()[RATELIMIT], "\"costly-minute\";r=0;t=60");
            assert_eq!(refused.headers()[RATELIMIT_POLICY], "\"costly-minute\";q=1;w=60;burst=1");
        }
    }
}
