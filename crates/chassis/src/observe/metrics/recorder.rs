use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::{Described, Kind, LOG_LOST, of_the_operating_system, pools};
use crate::pause;

/// The buckets of a histogram that names none of its own, in seconds: around the objectives (300 ms for a section, 2 s to read, 5 s to write).
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
    /// The recorder of this process, which knows what these metrics mean; `None` where the process counts by other means. A
    /// second call changes nothing.
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

    /// Everything, as Prometheus reads it (text format 0.0.4).
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        pools::tell();
        LOG_LOST.stands_at([], crate::telemetry::lost_lines());
        self.handle.render()
    }

    /// Keeps its memory small until `stop`, also where nobody ever fetches what it holds.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        while stop.run_until_cancelled(pause(UPKEEP)).await.is_some() {
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
