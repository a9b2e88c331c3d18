//! What is said when a bound is reached.

use super::table::Bound;
use crate::http::ClientKey;
use crate::metrics::BOUND;
use crate::seldom::Seldom;

/// Counts that a bound was reached, and logs it at most once a second.
pub(crate) fn reached(bound: Bound, client: Option<ClientKey>) {
    static LOG: [Seldom; 8] = [const { Seldom::new() }; 8];
    BOUND.count([bound.name().into()]);
    let Some(times) = LOG[bound as usize].count() else { return };
    let client = client.map(tracing::field::display);
    match bound {
        Bound::Stalled => tracing::warn!(
            bound = bound.name(),
            client,
            times,
            "an answer was reset and its connection closed: the client took none of it for process.edge.header_budget_ms"
        ),
        _ => tracing::warn!(
            bound = bound.name(),
            client,
            times,
            "a bound of process.edge was reached, and what exceeded it was refused; if the client is a proxy, \
             name it in process.edge.trusted_proxies"
        ),
    }
}
