//! One window of load and its figures.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::floors::Done;
use crate::machine;
use crate::progress::Progress;
use crate::tally::Tally;

/// More errors than this part of all requests, and the figure says nothing.
const MOST_ERRORS: f64 = 0.01;

/// The settings of all measurements.
pub struct Bench {
    /// Length of a window.
    pub time: Duration,
    /// Number of rounds.
    pub rounds: usize,
    /// Processes that take part and are not ours: the engines.
    pub engines: Vec<u32>,
    /// The progress display.
    pub progress: Progress,
    /// Everything that was seen so far.
    pub figures: RefCell<Vec<Figure>>,
}

/// The figures of one window.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The goal that it belongs to.
    pub goal: &'static str,
    /// The target and the request.
    pub what: String,
    /// From 1 on.
    pub round: usize,
    /// The number of different requests, and the size of a response.
    pub data: String,
    /// Requests per second of the timetable. `None` if the load was as fast as the responses.
    pub offered: Option<f64>,
    /// Answers a second.
    pub achieved: f64,
    /// Answers.
    pub answered: u64,
    /// The errors.
    pub errors: u64,
    /// The first of those.
    pub first_error: Option<String>,
    /// Half of the requests took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99 of 100 requests took no longer, in milliseconds.
    pub p99_ms: Option<f64>,
    /// CPU time of the server's processes for each request, in microseconds.
    pub cpu_us: Option<f64>,
    /// The idle part of all processors.
    pub idle: f64,
    /// The part that strangers to this measurement used.
    pub others: f64,
}

/// A side of a comparison: the processes whose CPU time counts, and the name of its figures.
#[derive(Debug, Clone)]
pub struct Side {
    goal: &'static str,
    what: String,
    data: String,
    servers: Vec<u32>,
}

impl Side {
    /// Asked by this goal. The CPU of the processes `servers` and their children is counted.
    pub fn new(goal: &'static str, what: &str, data: impl Into<String>, servers: &[u32]) -> Self {
        Self { goal, what: what.to_owned(), data: data.into(), servers: servers.to_vec() }
    }
}

/// The description of a load.
pub enum Came {
    /// Of requests that we sent.
    Of(Tally),
    /// Of a floor that drives itself.
    By(Done),
}

impl From<Tally> for Came {
    fn from(tally: Tally) -> Self {
        Self::Of(tally)
    }
}

impl From<Done> for Came {
    fn from(done: Done) -> Self {
        Self::By(done)
    }
}

impl Bench {
    /// The rounds, from 1 on.
    pub fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.rounds
    }

    /// Puts one side under load, and stores and prints its figures.
    ///
    /// # Errors
    /// If the load fails as a whole, or more than a hundredth of its requests.
    pub async fn window<C: Into<Came>>(
        &self,
        side: &Side,
        round: usize,
        load: impl Future<Output = Result<C>>,
    ) -> Result<Figure> {
        self.progress.doing(&format!("{} {}, round {round}", side.goal, side.what));
        let before = machine::read(&side.servers, &self.engines);
        let came = load.await?.into();
        let used = machine::read(&side.servers, &self.engines).since(&before);
        let figure = Figure::of(side, round, came, used);
        self.progress.line(&figure.line());
        self.figures.borrow_mut().push(figure.clone());
        let all = (figure.answered + figure.errors).max(1) as f64;
        ensure!(
            figure.answered > 0 && figure.errors as f64 / all <= MOST_ERRORS,
            "{}: {} of {all} requests failed, the first with: {}",
            side.what,
            figure.errors,
            figure.first_error.unwrap_or_default()
        );
        Ok(figure)
    }
}

impl Figure {
    fn of(side: &Side, round: usize, came: Came, used: machine::Used) -> Self {
        let base = Self {
            goal: side.goal,
            what: side.what.clone(),
            round,
            data: side.data.clone(),
            offered: None,
            achieved: 0.0,
            answered: 0,
            errors: 0,
            first_error: None,
            p50_ms: None,
            p99_ms: None,
            cpu_us: None,
            idle: used.idle,
            others: used.others,
        };
        match came {
            Came::Of(tally) => {
                let requests = (tally.answered + tally.errors).max(1) as f64;
                Self {
                    offered: tally.offered,
                    achieved: tally.achieved(),
                    answered: tally.answered,
                    errors: tally.errors,
                    p50_ms: Some(tally.milliseconds(0.5)),
                    p99_ms: Some(tally.milliseconds(0.99)),
                    first_error: tally.first_error,
                    cpu_us: (!side.servers.is_empty()).then_some(used.servers_us / requests),
                    ..base
                }
            }
            Came::By(done) => Self {
                achieved: done.count as f64 / done.seconds.max(f64::EPSILON),
                answered: done.count,
                cpu_us: Some(done.cpu_us / done.count.max(1) as f64),
                ..base
            },
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let offered = self.offered.map_or_else(|| "open end".to_owned(), |offered| format!("{offered:.0}/s"));
        let some = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let cpu = self.cpu_us.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0} µs"));
        format!(
            "{:<4}{:<34} offered {offered:>8}  achieved {:>7.0}/s  errors {:>3}  p50 {:>7} ms  p99 {:>7} ms  CPU {cpu:>8}  \
             idle {:>3.0} %  others {:>3.0} %  {}",
            self.goal,
            self.what,
            self.achieved,
            self.errors,
            some(self.p50_ms),
            some(self.p99_ms),
            self.idle * 100.0,
            self.others * 100.0,
            self.data,
        )
    }

    /// CPU time for each request.
    ///
    /// # Errors
    /// If it was not measured, or the load was too small for the kernel's clock.
    pub fn cpu(&self) -> Result<f64> {
        let cpu = self.cpu_us.unwrap_or_default();
        ensure!(cpu > 0.0, "{}: no CPU time was counted", self.what);
        Ok(cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_its_cpu_for_each_request_and_says_everything_in_one_line() {
        let (mut tally, side) = (Tally::default(), Side::new("P5", "user read", "100 accounts", &[1]));
        for _ in 0..100 {
            tally.count(Duration::from_millis(3), Ok(200));
        }
        let tally = Tally::sum([tally], Some(50.0), Duration::from_secs(2));
        let used = machine::Used { servers_us: 5_000.0, idle: 0.25, others: 0.5 };
        let figure = Figure::of(&side, 1, tally.into(), used);
        assert!((figure.cpu().expect("is counted") - 50.0).abs() < 1e-9);
        let line = figure.line();
        for part in ["50/s", "errors   0", "CPU    50 µs", "idle  25 %", "others  50 %", "100 accounts"] {
            assert!(line.contains(part), "{line}");
        }
    }
}
