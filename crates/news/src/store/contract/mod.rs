//! The laws of the ports, each a case under the name that the port's documentation gives it, run against every adapter.

mod answers;
pub(super) mod engines;
mod events;
mod lists;
mod past;
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
    for file in [include_str!("answers.rs"), include_str!("past.rs")] {
        cases.extend(names(file, "pub(super) async fn ", "(given: Fixture)"));
    }
    cases.extend(names(include_str!("view.rs"), "async fn ", "(given: Fixture)"));
    cases.extend(names(include_str!("lists.rs"), "async fn ", "(given: Fixture)"));
    assert_eq!(laws, cases);
}
