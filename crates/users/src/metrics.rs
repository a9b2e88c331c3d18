//! The metrics of this service.

use chassis::metrics::{Counter, Described, Gauge};

/// The outcomes of logins.
pub(crate) static LOGIN: Counter<1> = Counter::new(
    "login_total",
    ["outcome"],
    "Attempts to log in: `ok`, `wrong` (unknown e-mail or wrong password), `throttled`, `busy` (too many passwords were being \
     compared) or `failed` (a store was unavailable).",
    "`wrong` or `throttled` far above the usual rate: an attacker guesses passwords; any rate of `busy` or `failed`: people can't \
     log in.",
);
/// The number of waiting registrations.
pub(crate) static INTAKE_DEPTH: Gauge<0> = Gauge::new(
    "intake_depth",
    [],
    "Registrations that were acknowledged and are not in the store yet, at the last step of the worker; 1000 stands for 1000 or more.",
    "Above 0 for longer than a minute: the store is unavailable, or a registration can't be stored.",
);

/// The number of erasures that take too long.
pub(crate) static ERASURES_OVERDUE: Gauge<0> = Gauge::new(
    "erasures_overdue",
    [],
    "Erasures that began more than 60 seconds ago and lack the receipt of a service, at the last look; 1000 stands for 1000 or more.",
    "Any value above 0: a service keeps data of an erased person. `GET /users/v1/erasures/{id}` names the service.",
);

/// Returns all metrics of this service.
pub fn described() -> Vec<Described> {
    vec![LOGIN.described(), INTAKE_DEPTH.described(), ERASURES_OVERDUE.described()]
}
