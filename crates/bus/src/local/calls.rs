use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{Context, Runnable};
use futures::FutureExt;
use kernel::{Kind, Refusal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::port::no_server;
use crate::receiver::refusal_of_call;
use crate::{Call, CallHandler, instrument};

/// The servers of calls, by address.
#[derive(Default)]
pub(super) struct Exchange {
    endpoints: Mutex<HashMap<String, Vec<Arc<Endpoint>>>>,
}

/// One server of an address.
struct Endpoint {
    service: &'static str,
    handler: Arc<dyn CallHandler>,
    /// Held by every call in progress. When the last one ends, the channel closes, and the server knows that
    /// it is idle.
    _busy: mpsc::Sender<()>,
}

impl Exchange {
    /// Adds a server of this address.
    pub(super) fn serve(
        self: &Arc<Self>,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Server {
        let (busy, idle) = mpsc::channel(1);
        let endpoint = Arc::new(Endpoint { service, handler, _busy: busy });
        self.endpoints().entry(address.to_owned()).or_default().push(endpoint.clone());
        let endpoint = Arc::downgrade(&endpoint);
        let registration = Registration { exchange: self.clone(), address: address.to_owned(), endpoint };
        Server { registration, idle }
    }

    /// Runs the handler in the caller's own task, so that a caller that stops waiting stops the handler too.
    pub(super) async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        let caller = Context::current();
        if caller.deadline.left().is_zero() {
            return Err(deadline_exceeded());
        }
        let Some(endpoint) = self.next(address) else {
            return Err(no_server());
        };
        let _counting = caller.upstream.count();
        let (span, sent) = instrument::start_client(caller.service, address, &call.method, caller.trace);
        let context = Context { trace: sent, ..caller };
        let reply = endpoint.run(address, &call, context).await;
        instrument::end_call(span, &reply);
        reply
    }

    /// Returns the next endpoint of an address in turn.
    fn next(&self, address: &str) -> Option<Arc<Endpoint>> {
        let mut endpoints = self.endpoints();
        let endpoints = endpoints.get_mut(address)?;
        let next = endpoints.pop()?;
        endpoints.insert(0, next.clone());
        Some(next)
    }

    fn endpoints(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Arc<Endpoint>>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Runs the handler for one call of `caller`, until the caller's deadline.
    async fn run(&self, address: &str, call: &Call, caller: Context) -> Result<Bytes, Refusal> {
        let (deadline, received) = (caller.deadline, caller.trace);
        let context = caller.callee(self.service);
        let (service, method, own) = (self.service, &call.method, context.trace);
        let span = instrument::start_server(service, address, method, own, Some(received));
        let handle = async {
            let reply = self.handler.call(call).await.map_err(|fault| refusal_of_call(&*fault));
            instrument::end_call(span, &reply);
            tracing::debug!(address, method, ok = reply.is_ok(), "a call was served");
            reply
        };
        let work = AssertUnwindSafe(context.scope(handle)).catch_unwind();
        match tokio::time::timeout_at(deadline.instant().into(), work).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_panic)) => {
                tracing::error!(address, method, "a call handler panicked");
                Err(Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence()))
            }
            Err(_elapsed) => Err(deadline_exceeded()),
        }
    }
}

fn deadline_exceeded() -> Refusal {
    Refusal::new(Kind::Timeout, "deadline_exceeded", Kind::Timeout.sentence())
}

/// A server of calls, from its creation until it stops or is dropped.
pub(super) struct Server {
    registration: Registration,
    idle: mpsc::Receiver<()>,
}

/// The entry of one endpoint in the exchange. Dropping it removes the endpoint.
struct Registration {
    exchange: Arc<Exchange>,
    address: String,
    endpoint: std::sync::Weak<Endpoint>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut endpoints = self.exchange.endpoints();
        if let Some(open) = endpoints.get_mut(&self.address) {
            open.retain(|endpoint| !std::ptr::eq(Arc::as_ptr(endpoint), self.endpoint.as_ptr()));
            if open.is_empty() {
                endpoints.remove(&self.address);
            }
        }
    }
}

#[async_trait]
impl Runnable for Server {
    fn name(&self) -> String {
        self.registration.address.clone()
    }

    async fn run(mut self: Box<Self>, stop: CancellationToken) {
        stop.cancelled().await;
        drop(self.registration);
        // No value is ever sent. This returns when the last call in progress has ended.
        let _none = self.idle.recv().await;
    }
}
