//! The arrows: a → b means that a may use b, and nothing else is allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::none;
use crate::workspace::{Arrow, Uses, drawn, names, shipped};

/// They own data, or aggregate what others own; they know each other by calls and messages alone.
const SERVICES: [&str; 5] = ["users", "news", "orchestrator", "recommendations", "web"];

/// The crates of the workspace that the shipped code of a crate may use.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "kernel" | "proto" | "testkit" => &[],
        "chassis" | "xtask" => &["kernel"],
        "bus" => &["chassis", "kernel"],
        "users" | "news" | "orchestrator" | "recommendations" | "web" => {
            &["bus", "chassis", "kernel", "proto"]
        }
        "seed" => &["users", "news", "recommendations", "bus", "chassis", "kernel"],
        // Messages because it describes the bus (`portal asyncapi`).
        "portal" => &[
            "users",
            "news",
            "orchestrator",
            "recommendations",
            "web",
            "seed",
            "bus",
            "chassis",
            "kernel",
            "proto",
        ],
        "system-tests" => &["portal", "testkit", "kernel"],
        // It measures from outside; messages because it also asks a section as the orchestrator does.
        "bench" => &["portal", "testkit", "kernel", "proto", "system-tests"],
        _ => return None,
    })
}

/// Whose tests may use the testkit.
fn may_use_the_testkit(name: &str) -> bool {
    matches!(name, "chassis" | "bus" | "seed" | "portal") || SERVICES.contains(&name)
}

fn forbidden(arrows: &[Arrow]) -> Vec<String> {
    let is_forbidden = |arrow: &&Arrow| {
        let ships = allowed(&arrow.from).is_some_and(|allowed| allowed.contains(&arrow.to.as_str()));
        let tests = arrow.dev && arrow.to == "testkit" && may_use_the_testkit(&arrow.from);
        !ships && !tests
    };
    let words = |arrow: &Arrow| {
        let when = if arrow.dev { " in its tests" } else { "" };
        format!("{} → {}{when}", arrow.from, arrow.to)
    };
    arrows.iter().filter(is_forbidden).map(words).collect()
}

/// Which of `never` are used by `start`, or by what it uses.
fn reached(uses: &Uses, start: &str, never: &[&str]) -> Vec<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(next) = open.pop() {
        open.extend(uses.get(next).into_iter().flatten().map(String::as_str).filter(|to| found.insert(*to)));
    }
    never.iter().filter(|name| found.contains(**name)).map(|name| format!("{start} reaches {name}")).collect()
}

#[test]
fn every_arrow_between_our_crates_is_one_of_the_architecture() {
    none(forbidden(&drawn()));
}

#[test]
fn every_crate_of_the_workspace_has_its_place_in_the_architecture() {
    none(names().into_iter().filter(|name| allowed(name).is_none()).map(str::to_owned).collect());
}

#[test]
fn no_service_reaches_another_service() {
    let uses = shipped();
    none(SERVICES.iter().flat_map(|service| reached(&uses, service, &SERVICES)).collect());
}

#[test]
fn the_chassis_does_not_reach_the_bus() {
    none(reached(&shipped(), "chassis", &["bus", "proto"]));
}

#[test]
fn the_kernel_reaches_no_runtime_no_web_framework_and_no_database() {
    none(reached(
        &shipped(),
        "kernel",
        &["tokio", "axum", "hyper", "tonic", "tower", "sqlx", "sqlx-core", "tracing"],
    ));
}

#[test]
fn nothing_that_ships_reaches_the_testkit() {
    let uses = shipped();
    let ships = names().into_iter().filter(|name| !["system-tests", "bench", "testkit"].contains(name));
    none(ships.flat_map(|name| reached(&uses, name, &["testkit"])).collect());
}

#[test]
fn there_is_one_provider_of_tls() {
    let others = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];
    none(reached(&shipped(), "portal", &others));
}

#[test]
fn a_forbidden_arrow_is_found() {
    let arrow = |from: &str, to: &str, dev| Arrow { from: from.to_owned(), to: to.to_owned(), dev };
    let made_up = [
        arrow("users", "kernel", false),
        arrow("users", "news", false),
        arrow("chassis", "bus", false),
        arrow("bus", "testkit", true),
        arrow("bus", "testkit", false),
        arrow("kernel", "testkit", true),
        arrow("weather", "kernel", false),
    ];
    let expected = [
        "users → news",
        "chassis → bus",
        "bus → testkit",
        "kernel → testkit in its tests",
        "weather → kernel",
    ];
    assert_eq!(forbidden(&made_up), expected);
}

#[test]
fn a_forbidden_crate_is_found_behind_others() {
    let uses = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
    let made_up = BTreeMap::from([uses("kernel", &["clock"]), uses("clock", &["tokio", "kernel"])]);
    assert_eq!(reached(&made_up, "kernel", &["axum", "tokio"]), ["kernel reaches tokio"]);
    assert!(reached(&made_up, "tokio", &["kernel", "clock"]).is_empty());
}
