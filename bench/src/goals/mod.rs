//! The goals, each with its measurement.

mod aggregate;
mod commands;
mod idle;
mod reads;
mod storm;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;

use crate::ground::{InFleet, InOne, SECTIONS};
use crate::verdict::Row;
use crate::window::Bench;

/// Number of connections of a load that is as fast as responses arrive.
const CONNECTIONS: usize = 32;

/// The longest time between two goals until the portal is idle again.
const CALM: Duration = Duration::from_secs(60);

/// A goal that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Its name in the list of goals.
    pub id: &'static str,
    /// The comparison in words.
    pub what: &'static str,
    /// True if the goal needs the fleet.
    pub fleet: bool,
    /// True if the goal needs the one process.
    pub one: bool,
    /// Number of windows of a round.
    pub windows: usize,
}

/// All goals, in the order of measuring: rest before load, and goals that leave much data at the end.
pub const ALL: [Measured; 10] = [
    Measured {
        id: "P21",
        what: "idle memory of the six binaries together",
        fleet: true,
        one: false,
        windows: 0,
    },
    Measured {
        id: "P4",
        what: "hot article through the gateway / nginx static 1 KB",
        fleet: true,
        one: false,
        windows: 2,
    },
    Measured { id: "P5", what: "user read, cache hit / bare axum JSON", fleet: true, one: true, windows: 3 },
    Measured {
        id: "P6",
        what: "article read in the section / bare driver find",
        fleet: true,
        one: false,
        windows: 3,
    },
    Measured {
        id: "P8",
        what: "article read through the broker / the original's way",
        fleet: true,
        one: false,
        windows: 2,
    },
    Measured {
        id: "P10",
        what: "three sections together / the slowest alone",
        fleet: true,
        one: false,
        windows: 4,
    },
    Measured { id: "P16", what: "news during a login storm / without", fleet: true, one: true, windows: 8 },
    Measured {
        id: "P25",
        what: "one process: article read / bare axum + SQLite",
        fleet: false,
        one: true,
        windows: 2,
    },
    Measured { id: "P22", what: "process start until ready", fleet: true, one: true, windows: 7 },
    Measured {
        id: "P11",
        what: "command at 16 / bare two-insert transaction",
        fleet: true,
        one: false,
        windows: 3,
    },
];

/// The goal of this name.
pub fn named(id: &str) -> Option<Measured> {
    ALL.into_iter().find(|goal| goal.id.eq_ignore_ascii_case(id))
}

/// The portals to measure.
pub struct Grounds {
    /// Present if a goal needs it.
    pub fleet: Option<InFleet>,
    /// Present if a goal needs it.
    pub one: Option<InOne>,
}

impl Grounds {
    fn fleet(&mut self) -> &mut InFleet {
        self.fleet.as_mut().expect("a fleet was started for this goal")
    }

    fn one(&mut self) -> &mut InOne {
        self.one.as_mut().expect("one process was started for this goal")
    }

    fn both(&mut self) -> (&mut InFleet, &mut InOne) {
        let both = self.fleet.as_mut().zip(self.one.as_mut());
        both.expect("both shapes were started for this goal")
    }
}

/// Waits until everything answers again. The measurement before may have left queues and open breakers.
async fn calm(grounds: &Grounds) {
    let fleet = grounds.fleet.iter().map(|fleet| &fleet.stock);
    for stock in fleet.chain(grounds.one.iter().map(|one| &one.stock)) {
        for section in SECTIONS {
            let path = format!("/news/v1/{section}/1/1");
            testkit::wait_until("a list of news", CALM, || async {
                let answer = stock.client.get(&path).try_send().await;
                answer.is_ok_and(|answer| answer.status == 200).then_some(())
            })
            .await;
        }
    }
}

/// Measures a goal. A failure becomes a row that reports it, and the next goal follows.
pub async fn measure(bench: &Bench, goal: Measured, grounds: &mut Grounds) -> Vec<Row> {
    let measured = AssertUnwindSafe(rows(bench, goal, grounds)).catch_unwind().await;
    match measured {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => vec![Row::missing(goal.id, format!("{error:#}"))],
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
            vec![Row::missing(goal.id, words.unwrap_or("a panic").to_owned())]
        }
    }
}

async fn rows(bench: &Bench, goal: Measured, grounds: &mut Grounds) -> Result<Vec<Row>> {
    bench.progress.doing(&format!("{} {}", goal.id, goal.what));
    calm(grounds).await;
    match goal.id {
        "P4" => reads::hot_article(bench, grounds.fleet()).await,
        "P5" => {
            let (fleet, one) = grounds.both();
            reads::user(bench, fleet, one).await
        }
        "P6" => reads::section(bench, grounds.fleet()).await,
        "P8" => aggregate::broker(bench, grounds.fleet()).await,
        "P10" => aggregate::three_sections(bench, grounds.fleet()).await,
        "P11" => commands::at_sixteen(bench, grounds.fleet()).await,
        "P16" => {
            let (fleet, one) = grounds.both();
            storm::logins(bench, fleet, one).await
        }
        "P21" => idle::memory_of(bench, grounds.fleet()).await,
        "P22" => {
            let (fleet, one) = grounds.both();
            idle::starts(bench, fleet, one).await
        }
        "P25" => reads::one_process(bench, grounds.one()).await,
        other => anyhow::bail!("{other} has nothing that measures it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_has_a_name_of_its_own_and_something_to_be_measured_on() {
        for goal in ALL {
            assert_eq!(named(&goal.id.to_lowercase()), Some(goal));
            assert!(goal.fleet || goal.one, "{}", goal.id);
        }
        assert!(named("P99").is_none());
    }
}
