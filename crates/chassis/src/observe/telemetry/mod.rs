//! Log lines: JSON for machines, text for a terminal. Both carry the context of the work that wrote them.
//!
//! A line is put into a bounded queue, and a thread of its own writes it. If the queue is full or the line
//! can't be written, it is lost and counted: a log whose reader has stopped neither ends nor delays the work
//! that it describes.

mod writer;

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use kernel::{Clock, SystemClock};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::context::Context;
use super::{slow_statements, spans};
use crate::values::{LogFormat, Url, log_filter, trace_export, variables};

pub use writer::Logging;
pub(crate) use writer::lost_lines;

/// Starts logging to standard error, and the export of traces if the `OTEL_*` variables name an endpoint.
/// `filter` and `format` are the settings `process.log` and `process.log_format`.
///
/// A process calls it once; a second call changes nothing. Dropping the returned value at the end of the
/// process waits until the last lines are written.
///
/// # Errors
/// If the filter is not valid, or the endpoint can't be used.
pub fn start(service: &'static str, filter: &str, format: LogFormat) -> anyhow::Result<Logging> {
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let instance = format!("{}-{}", service, std::process::id());
    let (writer, logging) = writer::start(std::io::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // It would report to standard error, which may be what fails or has stopped.
        .log_internal_errors(false)
        .event_format(Lines { json, service, instance })
        .with_filter(without_noise(log_filter(filter)?));
    let export = trace_export(&variables()).map_err(anyhow::Error::msg)?;
    let tracer = export.as_ref().map(|export| spans::start(export, service)).transpose()?;
    let subscriber = tracing_subscriber::registry().with(lines).with(tracer.map(spans::layer));
    // A program that embeds the portal may have a subscriber of its own, which stays.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        log_panics();
    }
    if let Some(export) = export {
        tracing::info!(endpoint = %Url::from(export.endpoint.as_str()), "traces are exported");
    }
    Ok(logging)
}

/// Silences what libraries log too much of.
fn without_noise(filter: Targets) -> Targets {
    filter
        // Its lines of slow statements come through.
        .with_target("sqlx", LevelFilter::WARN)
        .with_target("lapin", LevelFilter::WARN)
        // It would log a whole returned message, with its body and the caller's token.
        .with_target("lapin::returned_messages", LevelFilter::OFF)
        // It logs every refusal of a broker as an error, even an expected "not found". The bus gets each of
        // them as a result, and logs what could not be done.
        .with_target("lapin::channel", LevelFilter::OFF)
        .with_target("hyper", LevelFilter::INFO)
        .with_target("h2", LevelFilter::INFO)
        .with_target(spans::TARGET, LevelFilter::OFF)
}

/// Logs each panic as a line. The hook only puts a line into the queue, which neither fails nor waits: a hook
/// that panics would abort the process.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let cause = panic.payload_as_str().unwrap_or("");
        tracing::error!(place, cause, "a panic");
    }));
}

/// The format of log lines. The fields of every line are those of `docs/logging.md`.
struct Lines {
    json: bool,
    service: &'static str,
    instance: String,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if event.metadata().target() == slow_statements::TARGET {
            fields.message = slow_statements::conceal(&mut fields.own).to_owned();
        }
        let context = Context::try_current();
        let line = Line {
            timestamp: SystemClock.now().to_string(),
            level: event.metadata().level().as_str(),
            target: event.metadata().target(),
            service: context.as_ref().map_or(self.service, |context| context.service),
            instance: &self.instance,
            trace_id: context.as_ref().map(|context| context.trace.id()),
            request_id: context.and_then(|context| context.request_id),
            fields,
        };
        if self.json { writeln!(writer, "{}", line.json()) } else { writeln!(writer, "{}", line.text()) }
    }
}

struct Line<'a> {
    timestamp: String,
    level: &'static str,
    target: &'a str,
    service: &'static str,
    instance: &'a str,
    trace_id: Option<String>,
    request_id: Option<std::sync::Arc<str>>,
    fields: Fields,
}

impl Line<'_> {
    fn json(self) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", self.timestamp.into());
        put("level", self.level.into());
        put("service", self.service.into());
        put("instance", self.instance.into());
        put("version", env!("CARGO_PKG_VERSION").into());
        put("target", self.target.into());
        put("message", self.fields.message.into());
        put("trace_id", self.trace_id.into());
        put("request_id", self.request_id.map(|id| id.to_string()).into());
        // The names above win: a field can't replace the trace.
        for (name, value) in self.fields.own {
            line.entry(name).or_insert(value);
        }
        Value::Object(line)
    }

    fn text(self) -> String {
        let time = self.timestamp.get(11..23).unwrap_or(&self.timestamp);
        let mut line =
            format!("{time} {:5} {:18} {}", self.level, self.service, one_line(&self.fields.message));
        for (name, value) in self.fields.own {
            let value = value.as_str().map_or_else(|| value.to_string(), one_line);
            let _ = write!(line, " {name}={value}");
        }
        if let Some(trace) = self.trace_id {
            let _ = write!(line, " trace={}", trace.get(..8).unwrap_or(&trace));
        }
        line
    }
}

/// Replaces control characters, so that input can't begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Default)]
struct Fields {
    message: String,
    own: Map<String, Value>,
}

/// The most bytes of a message or of one of its fields. The queue is limited in lines, so this limits its
/// memory.
const MOST: usize = 4_096;

fn shortened(mut text: String) -> String {
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.own.insert(field.name().to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: String) {
        let text = shortened(text);
        if field.name() == "message" { self.message = text } else { self.put(field, text) }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line<'_> {
        let mut own = Map::new();
        own.insert("trace_id".to_owned(), "forged".into());
        own.insert("queue".to_owned(), "news".into());
        Line {
            timestamp: "2026-11-21T08:00:00.000Z".to_owned(),
            level: "INFO",
            target: "test",
            service: "users",
            instance: "users-1",
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            request_id: None,
            fields: Fields { message: message.to_owned(), own },
        }
    }

    #[test]
    fn a_field_can_not_replace_the_trace() {
        let json = line("fine").json();
        assert_eq!(json["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&json["queue"], &json["message"]), (&"news".into(), &"fine".into()));
    }

    #[test]
    fn a_message_can_not_begin_a_line_of_its_own() {
        assert_eq!(line("one\nERROR two").text().lines().count(), 1);
        assert_eq!(line("one\nERROR two").json().to_string().lines().count(), 1);
    }
}
