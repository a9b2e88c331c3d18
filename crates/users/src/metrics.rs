//! What this service counts about itself.

use chassis::metrics::{Counter, Described, Gauge};

/// Logins.
pub(crate) static LOGIN: Counter<1> = Counter::new(
    "login_total",
    ["outcome"],
    "Attempts to log in: `ok`, `wrong` (no such account or another password), `throttled`, `busy` (too many passwords were being \
     compared) or `failed` (a store was away).",
    "`wrong` or `throttled` far above the usual: somebody guesses passwords; any rate of `busy` or `failed`: people can't log in.",
);
/// Registrations that wait.
pub(crate) static INTAKE_DEPTH: Gauge<0> = Gauge::new(
    "intake_depth",
    [],
    "Registrations that were acknowledged and are not yet in the store, when the worker last looked; 1000 stands for more.",
    "Above 0 for longer than a minute: the store is away, or a registration can't be stored.",
);

/// All of them.
pub fn described() -> Vec<Described> {
    vec![LOGIN.described(), INTAKE_DEPTH.described()]
}
