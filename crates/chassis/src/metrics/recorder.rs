use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::{Described, Kind};
use crate::pause;

/// The buckets of every histogram, in seconds: around the objectives (300 ms for a section, 2 s to read, 5 s to write).
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];

/// How often what was measured is put into its buckets: until then each value lies in memory by itself.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps what the process counts. There is one in a process, as there is one log.
#[derive(Clone)]
pub(crate) struct Recorder {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

impl Recorder {
    /// The recorder of this process; `None` where the process counts by other means.
    pub(crate) fn install() -> Option<Self> {
        static INSTALLED: OnceLock<Option<Recorder>> = OnceLock::new();
        INSTALLED.get_or_init(Self::begin).clone()
    }

    fn begin() -> Option<Self> {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?;
        let handle = builder.install_recorder().ok()?;
        let process = metrics_process::Collector::default();
        process.describe();
        Some(Self { handle, process })
    }

    /// Tells it what the metrics mean.
    pub(crate) fn describe(&self, all: &[Described]) {
        for metric in all {
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
                Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
            }
        }
    }

    /// Everything, as Prometheus reads it (text format 0.0.4).
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Keeps its memory small until `stop`, also where nobody ever fetches what it holds.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        while stop.run_until_cancelled(pause(UPKEEP)).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}
