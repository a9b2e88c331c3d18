//! The laws of the ports, each a case under the name that the port's documentation gives it, run against every adapter.

pub(super) mod engines;
mod events;
pub(super) mod sample;
mod view;
pub(super) mod wire;

use std::collections::BTreeSet;

/// The names in a source text that stand in lines of this form.
fn names<'a>(text: &'a str, start: &str, end: &str) -> BTreeSet<&'a str> {
    let name = |line: &'a str| line.trim().strip_prefix(start)?.split_once(end).map(|(name, _)| name);
    text.lines().filter_map(name).collect()
}

#[test]
fn every_law_of_the_ports_has_its_case_and_every_case_its_law() {
    let laws = names(include_str!("../../ports.rs"), "/// * `", "`");
    let mut cases = names(include_str!("events.rs"), "async fn ", "(given: Fixture)");
    cases.extend(names(include_str!("view.rs"), "async fn ", "(given: Fixture)"));
    assert_eq!(laws, cases);
}
