//! The log line of a slow statement. The test needs its own process, because a process has one log.

use std::process::Command;
use std::time::{Duration, Instant};

use chassis::config::{LogFormat, Process};
use chassis::sqlite::Database;
use chassis::telemetry;
use sqlx::migrate::Migrator;

const SLOW: Duration = Duration::from_millis(1_100);

#[tokio::test]
#[ignore = "a child of a_slow_statement_is_logged_as_an_operation_and_a_time_and_never_as_sql"]
async fn a_statement_that_is_slow() {
    let process = Process { log: "info,sqlx=debug,sqlx::query=trace".to_owned(), ..Process::default() };
    let _log = telemetry::start("test", &process.log, LogFormat::Json).expect("a log");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let database = Database::open(&url, &Migrator::with_migrations(Vec::new())).await.expect("opens");
    let mut rows = 1_000_000_i64;
    // Until the machine needs long enough for it.
    loop {
        let begun = Instant::now();
        let query = sqlx::query_scalar::<_, i64>(
            "with recursive secret_numbers(x) as (select 1 union all select x + 1 from secret_numbers where x < ?)
             select count(*) from secret_numbers",
        );
        query.bind(rows).fetch_one(database.reader()).await.expect("counts");
        if begun.elapsed() > SLOW {
            return;
        }
        rows *= 2;
    }
}

#[test]
fn a_slow_statement_is_logged_as_an_operation_and_a_time_and_never_as_sql() {
    let test = std::env::current_exe().expect("a running test has a path");
    let output =
        Command::new(test).args(["--exact", "a_statement_that_is_slow", "--ignored", "--nocapture"]).output();
    let output = output.expect("the child runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let slow: Vec<_> = lines.iter().filter(|line| line["message"] == "a statement was slow").collect();
    assert!(!slow.is_empty(), "{log}");
    for line in slow {
        assert_eq!(line["operation"], "with secret_numbers");
        assert!(line["duration_ms"].as_u64().is_some_and(|time| time >= 1_000), "{line}");
    }
    for word in ["recursive", "union", "count("] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
