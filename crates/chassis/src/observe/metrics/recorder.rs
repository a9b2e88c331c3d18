use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::{Described, Kind, LOG_LOST, of_the_operating_system, pools};
use crate::observe::telemetry::lost_lines;

/// The usual buckets of a histogram, in seconds. They lie around the objectives: 300 ms for a section, 2 s to
/// read, 5 s to write.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The interval at which measured values are put into their buckets. Until then each value takes memory of
/// its own.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of the metrics of a process. A process has one, as it has one log.
#[derive(Clone)]
pub(crate) struct Recorder {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Recorder {
    /// Returns the recorder of this process, with the descriptions of these metrics, or `None` if the process
    /// has another one. A second call changes nothing.
    pub(crate) fn install(described: &[Described]) -> Option<Self> {
        static INSTALLED: OnceLock<Option<Recorder>> = OnceLock::new();
        INSTALLED.get_or_init(|| Self::begin(described)).clone()
    }

    fn begin(described: &[Described]) -> Option<Self> {
        let mut builder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?;
        for metric in described {
            if let Some(buckets) = metric.buckets {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets).ok()?;
            }
        }
        let handle = builder.install_recorder().ok()?;
        describe(described);
        describe(&of_the_operating_system());
        Some(Self { handle, process: metrics_process::Collector::default() })
    }

    /// Returns all metrics in the text format of Prometheus (0.0.4).
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        pools::report();
        LOG_LOST.set_total([], lost_lines());
        self.handle.render()
    }

    /// Keeps its memory small until `stop`, even if its metrics are never fetched.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

fn describe(all: &[Described]) {
    for metric in all {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}
