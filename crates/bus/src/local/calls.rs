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

use crate::receiver::refused;
use crate::{Call, CallHandler, told};

/// Who answers which address.
#[derive(Default)]
pub(super) struct Exchange {
    desks: Mutex<HashMap<String, Vec<Arc<Desk>>>>,
}

struct Desk {
    service: &'static str,
    handler: Arc<dyn CallHandler>,
    /// Closes when the last call in hand lets go of its desk: so the server knows that it has answered all.
    _busy: mpsc::Sender<()>,
}

impl Exchange {
    pub(super) fn open(
        self: &Arc<Self>,
        service: &'static str,
        address: &str,
        handler: Arc<dyn CallHandler>,
    ) -> Server {
        let (busy, idle) = mpsc::channel(1);
        let desk = Arc::new(Desk { service, handler, _busy: busy });
        self.desks().entry(address.to_owned()).or_default().push(desk.clone());
        let sign = Sign { exchange: self.clone(), address: address.to_owned(), desk: Arc::downgrade(&desk) };
        Server { sign, idle }
    }

    /// Runs the handler in the caller's own task: a caller that stops waiting stops the handler with it.
    pub(super) async fn call(&self, address: &str, call: Call) -> Result<Bytes, Refusal> {
        let caller = Context::current();
        let deadline = caller.deadline;
        if deadline.left().is_zero() {
            return Err(too_late());
        }
        let Some(desk) = self.next(address) else {
            return Err(Refusal::new(Kind::Unavailable, "unavailable", Kind::Unavailable.sentence()));
        };
        let _counting = caller.upstream.count();
        let (asking, asked) = told::asking(caller.service, address, &call.method, caller.trace);
        let context = Context { trace: asked, ..caller }.callee(desk.service);
        let answering = told::answering(desk.service, address, &call.method, context.trace, Some(asked));
        let served = async {
            let reply = desk.handler.call(&call).await.map_err(|fault| refused(&*fault));
            told::answered(answering, &reply);
            tracing::debug!(address, method = call.method, ok = reply.is_ok(), "a call was served");
            reply
        };
        let work = AssertUnwindSafe(context.scope(served)).catch_unwind();
        let reply = match tokio::time::timeout_at(deadline.instant().into(), work).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_panic)) => {
                tracing::error!(address, method = call.method, "a call handler panicked");
                Err(Refusal::new(Kind::Internal, "internal", Kind::Internal.sentence()))
            }
            Err(_elapsed) => Err(too_late()),
        };
        told::answered(asking, &reply);
        reply
    }

    /// The desk whose turn it is.
    fn next(&self, address: &str) -> Option<Arc<Desk>> {
        let mut desks = self.desks();
        let desks = desks.get_mut(address)?;
        let next = desks.pop()?;
        desks.insert(0, next.clone());
        Some(next)
    }

    fn desks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Arc<Desk>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_late() -> Refusal {
    Refusal::new(Kind::Timeout, "deadline_exceeded", Kind::Timeout.sentence())
}

/// Answers calls from the moment it is made until it stops or is dropped.
pub(super) struct Server {
    sign: Sign,
    idle: mpsc::Receiver<()>,
}

/// Takes the desk away when it is dropped.
struct Sign {
    exchange: Arc<Exchange>,
    address: String,
    desk: std::sync::Weak<Desk>,
}

impl Drop for Sign {
    fn drop(&mut self) {
        let mut desks = self.exchange.desks();
        if let Some(open) = desks.get_mut(&self.address) {
            open.retain(|desk| !std::ptr::eq(Arc::as_ptr(desk), self.desk.as_ptr()));
            if open.is_empty() {
                desks.remove(&self.address);
            }
        }
    }
}

#[async_trait]
impl Runnable for Server {
    fn name(&self) -> String {
        self.sign.address.clone()
    }

    async fn run(mut self: Box<Self>, stop: CancellationToken) {
        stop.cancelled().await;
        drop(self.sign);
        // Nothing is ever sent: this ends when the last call in hand has ended.
        let _none = self.idle.recv().await;
    }
}
