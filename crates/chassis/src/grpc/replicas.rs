//! Several servers behind one name. They are called in turn, looked up regularly, and avoided for a while
//! after a failure.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::uri::Uri;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{BoxError, ServiceExt};

use crate::values::grpc_servers;
use crate::work::spawn;

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(1);
/// The interval of pings on an idle connection, and the time to answer one.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The time for which the addresses of a name are valid.
const VALIDITY: Duration = Duration::from_secs(2);
/// The time for which a server that failed is called last.
const REST: Duration = Duration::from_secs(1);

type LookUp = dyn Fn(Uri) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The servers behind some names. (The balancer of tonic prefers a dead server, because it fails fastest, and
/// it waits if there is no server. Decision 28 has the reasons.)
pub(crate) struct Replicas {
    names: Vec<Uri>,
    look_up: Box<LookUp>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    since: Option<Instant>,
    servers: HashMap<SocketAddr, Server>,
    turn: usize,
}

#[derive(Clone)]
struct Server {
    channel: Channel,
    rests_until: Option<Instant>,
}

impl Replicas {
    /// Reads `http://users:50051`, or several such addresses with commas between them. Returns `None` if one
    /// is not valid.
    pub(crate) fn new(addresses: &str) -> Option<Self> {
        Self::with(addresses, Box::new(|name| Box::pin(by_dns(name))))
    }

    fn with(addresses: &str, look_up: Box<LookUp>) -> Option<Self> {
        let names = grpc_servers(addresses)?;
        Some(Self { names, look_up, known: Mutex::default() })
    }

    /// Calls one server, and the next one if the first has certainly not received the request.
    pub(crate) async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        // A request is a single message, so it can be sent again.
        let body = body.collect().await?.to_bytes();
        let mut failure: BoxError = Box::new(tonic::Status::unavailable("the name has no address"));
        for (address, channel) in self.in_turn().await {
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let mut trial = Attempt { replicas: &self, address, answered: false };
            match channel.oneshot(request).await {
                Ok(answer) => {
                    trial.answered = true;
                    return Ok(answer);
                }
                Err(error) => {
                    // Without a connection nothing was sent.
                    let is_unsent = is_caused_by::<tonic::ConnectError>(&error);
                    failure = error.into();
                    if !is_unsent {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    /// Returns the servers in the order in which this call tries them.
    async fn in_turn(self: &Arc<Self>) -> Vec<(SocketAddr, Channel)> {
        let (stale, empty) = {
            let mut known = self.known();
            let stale = known.since.is_none_or(|since| since.elapsed() >= VALIDITY);
            if stale {
                known.since = Some(Instant::now());
            }
            (stale, known.servers.is_empty())
        };
        if empty {
            self.refresh().await;
        } else if stale {
            let this = self.clone();
            drop(spawn("transport.look_up", async move { this.refresh().await }));
        }
        let (mut known, now) = (self.known(), Instant::now());
        known.turn = known.turn.wrapping_add(1);
        let mut servers: Vec<_> = known.servers.iter().collect();
        servers.sort_unstable_by_key(|(address, _)| **address);
        let first = known.turn % servers.len().max(1);
        servers.rotate_left(first);
        // The sort is stable: resting servers keep their order, because they may be the only ones.
        servers.sort_by_key(|(_, server)| server.rests_until.is_some_and(|until| until > now));
        servers.into_iter().map(|(address, server)| (*address, server.channel.clone())).collect()
    }

    /// Looks up every name. If that fails, the known addresses stay.
    async fn refresh(&self) {
        let mut addresses = Vec::new();
        for name in &self.names {
            match (self.look_up)(name.clone()).await {
                Ok(found) => addresses.extend(found.into_iter().map(|address| (address, name))),
                Err(error) => return tracing::warn!(%error, %name, "a name could not be looked up"),
            }
        }
        let mut known = self.known();
        let before = std::mem::take(&mut known.servers);
        for (address, name) in addresses {
            let server = before
                .get(&address)
                .cloned()
                .or_else(|| Some(Server { channel: channel(address, name)?, rests_until: None }));
            known.servers.extend(server.map(|server| (address, server)));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request to one server. If it ends without an answer, even because the caller gave up, the server rests:
/// it may be frozen.
struct Attempt<'a> {
    replicas: &'a Replicas,
    address: SocketAddr,
    answered: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.answered
            && let Some(server) = self.replicas.known().servers.get_mut(&self.address)
        {
            server.rests_until = Some(Instant::now() + REST);
        }
    }
}

/// Returns a channel that connects at the first call, and again after the connection was lost.
fn channel(address: SocketAddr, name: &Uri) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    let endpoint = endpoint
        .origin(name.clone())
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    Some(endpoint.connect_lazy())
}

async fn by_dns(name: Uri) -> std::io::Result<Vec<SocketAddr>> {
    let host = name.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = name.port_u16().unwrap_or_default();
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// True if a `T` is among the causes of an error.
pub(crate) fn is_caused_by<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<T>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A server that answers every call with its name, until it is stopped.
    async fn server(name: &'static str) -> (SocketAddr, impl AsyncFnOnce()) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().fallback(async move || {
            ([("content-type", "application/grpc"), ("grpc-status", "0"), ("who", name)], "")
        });
        let stop = CancellationToken::new();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serving = tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::from(router))
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let task = crate::spawn("test.server", serving);
        (address, async move || {
            stop.cancel();
            task.await.expect("it ends").expect("it served");
        })
    }

    async fn answering_server(replicas: &Arc<Replicas>) -> String {
        let request = Request::post("http://users/portal.users.v1.Users/GetUser");
        let request = request.body(Body::empty()).expect("a request");
        let answer = replicas.clone().call(request).await.expect("a server answers");
        answer.headers()["who"].to_str().expect("a name").to_owned()
    }

    #[tokio::test]
    async fn replicas_are_called_in_turn_and_a_missing_one_fails_no_call() {
        let ((one, stop), (two, _)) = (server("one").await, server("two").await);
        let replicas = Arc::new(Replicas::new(&format!("http://{one},http://{two}")).expect("addresses"));
        let mut servers = Vec::new();
        for _ in 0..4 {
            servers.push(answering_server(&replicas).await);
        }
        servers.sort();
        assert_eq!(servers, ["one", "one", "two", "two"]);
        stop().await;
        for _ in 0..10 {
            assert_eq!(answering_server(&replicas).await, "two");
        }
    }

    #[tokio::test]
    async fn a_frozen_replica_fails_one_call_at_most() {
        // It accepts connections and never answers.
        let frozen = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (silent, (two, _)) = (frozen.local_addr().expect("an address"), server("two").await);
        let replicas = Arc::new(Replicas::new(&format!("http://{silent},http://{two}")).expect("addresses"));
        let mut given_up = 0;
        for _ in 0..6 {
            given_up += usize::from(
                tokio::time::timeout(Duration::from_millis(200), answering_server(&replicas)).await.is_err(),
            );
        }
        assert!(given_up <= 1, "{given_up}");
    }

    #[tokio::test]
    async fn a_name_that_moves_to_another_server_is_followed() {
        let ((one, _), (two, _)) = (server("one").await, server("two").await);
        let moved = Arc::new(AtomicBool::new(false));
        let now = moved.clone();
        let look_up = move |_| -> BoxFuture<'static, _> {
            let address = if now.load(Ordering::SeqCst) { two } else { one };
            Box::pin(async move { Ok(vec![address]) })
        };
        let replicas = Arc::new(Replicas::with("http://users:1", Box::new(look_up)).expect("an address"));
        assert_eq!(answering_server(&replicas).await, "one");
        moved.store(true, Ordering::SeqCst);
        assert_eq!(answering_server(&replicas).await, "one", "the address is valid for a while");
        replicas.refresh().await;
        assert_eq!(answering_server(&replicas).await, "two");
    }

    #[tokio::test]
    async fn without_a_server_a_call_is_refused_as_unavailable() {
        let replicas = Arc::new(Replicas::new("http://127.0.0.1:1").expect("an address"));
        let request = Request::post("http://users/any").body(Body::empty()).expect("a request");
        let refused = replicas.call(request).await.expect_err("no server answers");
        assert_eq!(tonic::Status::from_error(refused).code(), tonic::Code::Unavailable);
    }

    #[test]
    fn an_address_has_a_scheme_and_a_port() {
        for bad in ["users", "users:50051", "http://users", "https://users:50051", "http://a:1,", ""] {
            assert!(Replicas::new(bad).is_none(), "{bad}");
        }
    }
}
