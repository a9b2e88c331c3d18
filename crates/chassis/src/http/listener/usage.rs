use std::sync::atomic::AtomicUsize;

/// The resources of a listener that one client uses.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Its open requests over HTTP/2.
    pub(super) streams: AtomicUsize,
    /// The bytes of answers that wait for it.
    pub(super) unsent: AtomicUsize,
}
