//! Throttling: how much one client, and one account, may ask for. Refused is what comes faster: 429 with `Retry-After`.
//!
//! Every process counts by itself and in memory. Replicas together allow as often as much; what must hold over all of them (logins)
//! is counted in a store.
//!
//! What a request counts as is seen at two places: the edge knows the client, the method and the address; the guard knows the account
//! and the row of the matrix, which says whether the route is costly.

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
use crate::metrics::SHED;

/// The limits of a listener, each a list of windows that all hold; an empty list is no limit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Of one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one household has.
    pub client: Vec<Window>,
    /// Of one account, wherever it comes from.
    pub account: Vec<Window>,
    /// Of one client's writes.
    pub writes: Vec<Window>,
    /// Of one client's GETs of the same address that no cache answers.
    pub same_address: Vec<Window>,
    /// Of one client's requests to all routes together whose row of the matrix says `costly`.
    pub costly: Vec<Window>,
    /// Of one client's requests to `/livez` and `/readyz`.
    pub probes: Vec<Window>,
}

impl ThrottleConfig {
    /// No limit at all.
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
    /// The defaults of the product.
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

/// An answer that cost no work: a cache had it. The limit of the same address gives it back.
#[derive(Debug, Clone, Copy)]
pub struct FromCache;

/// Counts requests and refuses those that are too many.
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

/// What is known of a request that passed, for the headers of its answer.
#[derive(Clone, Copy)]
pub(crate) struct Passed {
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

    /// Counts a request of the client at `peer` before anything is done for it: many at once would otherwise all be at work before
    /// the first is counted. A client whose address is not known (a test in process) is not limited.
    pub(crate) fn admit(
        &self,
        peer: Option<IpAddr>,
        method: &Method,
        address: &str,
    ) -> Result<Passed, Problem> {
        let Some(client) = peer.map(ClientKey::from) else {
            return Ok(Passed { verdict: None, address: None });
        };
        let verdict = passed(&self.client, self.client.take(client))?;
        if matches!(*method, Method::GET | Method::HEAD) {
            let address = (client, self.hasher.hash_one(address));
            passed(&self.same_address, self.same_address.take(address))?;
            return Ok(Passed { verdict, address: Some(address) });
        }
        if *method != Method::OPTIONS {
            passed(&self.writes, self.writes.take(client))?;
        }
        Ok(Passed { verdict, address: None })
    }

    /// Counts a request of a verified account.
    pub(crate) fn admit_account(&self, account: UserId) -> Result<(), Problem> {
        passed(&self.account, self.account.take(account)).map(drop)
    }

    /// Counts a request of the client at `peer` to a costly route, also if a cache will have the answer.
    pub(crate) fn admit_costly(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let Some(client) = peer.map(ClientKey::from) else { return Ok(()) };
        passed(&self.costly, self.costly.take(client)).map(drop)
    }

    /// Counts one probe of the client at `peer`. Probes have a limit of their own: a client that asks for too much else must not make
    /// its process look dead.
    pub(crate) fn admit_probe(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let Some(client) = peer.map(ClientKey::from) else { return Ok(()) };
        passed(&self.probes, self.probes.take(client)).map(drop)
    }

    /// Gives back what a GET did not cost, and says in the answer what is left (draft-ietf-httpapi-ratelimit-headers). An answer that
    /// anybody may keep says the policy alone: what is left is one client's own. One that was refused has cost nothing, and says what
    /// it was refused for, or nothing if a store counts (logins): what is left of another limit would not tell when to come again.
    pub(crate) fn answered(&self, passed: Passed, response: &mut Response) {
        let refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
        let free = refused || response.extensions().get::<FromCache>().is_some();
        if let Some(address) = passed.address.filter(|_| free) {
            self.same_address.give_back(address);
        }
        let Some(policy) = self.policy.clone() else { return };
        let shared = is_public(response.headers());
        let headers = response.headers_mut();
        headers.entry(RATELIMIT_POLICY).or_insert(policy);
        if let Some(left) =
            passed.verdict.filter(|_| !shared && !refused).and_then(|verdict| verdict.header())
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

/// A refusal names the windows of who refuses.
fn passed<K>(limiter: &Limiter<K>, verdict: Option<Verdict>) -> Result<Option<Verdict>, Problem>
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
        // Whole seconds, and never "at once".
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
    fn writes_have_a_limit_of_their_own_and_other_clients_theirs() {
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
    fn a_household_is_one_client_and_a_mapped_address_is_what_it_maps() {
        let throttle = throttle(few());
        let read = |client: &str, path: &str| throttle.admit(peer(client), &Method::GET, path).is_ok();
        assert!((0..5).all(|host| read(&format!("2001:db8::{host}"), &format!("/{host}"))));
        assert!(!read("2001:db8::ffff", "/"));
        assert!(read("2001:db8:0:1::1", "/"), "the next household");
        assert!((0..5).all(|number| read("192.0.2.9", &format!("/{number}"))));
        assert!(!read("::ffff:192.0.2.9", "/"));
    }

    #[test]
    fn the_same_address_is_counted_unless_a_cache_answers() {
        let throttle = throttle(few());
        let read = |path| throttle.admit(peer("192.0.2.1"), &Method::GET, path);
        let answer = |passed, cached: bool| {
            let mut response = StatusCode::OK.into_response();
            if cached {
                response.extensions_mut().insert(FromCache);
            }
            throttle.answered(passed, &mut response);
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
    fn what_anybody_may_keep_says_nothing_of_one_client() {
        let throttle = throttle(few());
        let passed = throttle.admit(peer("192.0.2.1"), &Method::GET, "/").expect("passes");
        let mut response = ([(CACHE_CONTROL, "public, max-age=5")], "news").into_response();
        throttle.answered(passed, &mut response);
        assert!(
            response.headers().contains_key(RATELIMIT_POLICY) && !response.headers().contains_key(RATELIMIT)
        );
    }

    #[test]
    fn probes_have_a_limit_of_their_own() {
        let throttle = throttle(few());
        let probe = || throttle.admit_probe(peer("192.0.2.1"));
        let read = |path: &str| throttle.admit(peer("192.0.2.1"), &Method::GET, path).is_ok();
        assert!((0..5).all(|number| read(&format!("/{number}"))) && !read("/more"));
        assert!(probe().is_ok() && probe().is_ok());
        assert_eq!(probe().expect_err("one too many").status(), StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn a_get_is_counted_when_it_is_admitted_and_not_when_it_is_answered() {
        let throttle = throttle(few());
        let read = || throttle.admit(peer("192.0.2.1"), &Method::GET, "/a");
        let admitted: Vec<_> = (0..3).map(|_| read().expect("passes")).collect();
        assert!(read().is_err(), "three are at work");
        let mut answer = StatusCode::OK.into_response();
        answer.extensions_mut().insert(FromCache);
        throttle.answered(admitted[0], &mut answer);
        assert!(read().is_ok(), "one of them was no work");
    }

    #[test]
    fn an_account_has_its_limit_wherever_it_comes_from() {
        let throttle = throttle(few());
        let account = UserId::new(uuid::Uuid::from_u128(1));
        assert!(throttle.admit_account(account).is_ok() && throttle.admit_account(account).is_ok());
        assert!(throttle.admit_account(account).is_err());
    }

    #[test]
    fn all_costly_routes_together_have_one_limit_of_a_client_and_leave_the_others_alone() {
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
    fn a_refusal_says_what_it_is_refused_for_and_does_not_count_against_its_address() {
        let throttle = throttle(few());
        let read = || throttle.admit(peer("192.0.2.1"), &Method::GET, "/a").expect("passes");
        assert!(throttle.admit_costly(peer("192.0.2.1")).is_ok());
        for _ in 0..4 {
            let admitted = read();
            let problem = throttle.admit_costly(peer("192.0.2.1")).expect_err("one too many");
            let mut refused = problem.into_response();
            throttle.answered(admitted, &mut refused);
            assert_eq!(refused.headers()[RATELIMIT], "\"costly-minute\";r=0;t=60");
            assert_eq!(refused.headers()[RATELIMIT_POLICY], "\"costly-minute\";q=1;w=60;burst=1");
        }
    }
}
