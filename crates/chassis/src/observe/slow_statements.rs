//! The log lines of slow SQL: the name of an operation and its time, and never a statement.

use std::time::Duration;

use log::LevelFilter;
use serde_json::{Map, Value};
use sqlx::ConnectOptions;

/// A statement that takes this time or longer is logged.
const SLOW: Duration = Duration::from_secs(1);
/// The target of the events of sqlx about a statement.
pub(crate) const TARGET: &str = "sqlx::query";

/// Makes sqlx report slow statements only. Its events contain the statement, which [`conceal`] removes.
pub(crate) fn slow_ones_only<O: ConnectOptions>(options: O) -> O {
    options.log_statements(LevelFilter::Off).log_slow_statements(LevelFilter::Warn, SLOW)
}

/// Replaces the fields of sqlx by the name of the operation and its time. Returns the message.
pub(crate) fn conceal(fields: &mut Map<String, Value>) -> &'static str {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let statement = Some(text("db.statement")).filter(|text| !text.is_empty()).unwrap_or(text("summary"));
    let operation = operation_of(statement);
    let seconds = fields.get("elapsed_secs").and_then(Value::as_f64).unwrap_or_default();
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let duration = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // Only fields without any part of the statement stay.
    fields.retain(|name, _| matches!(name.as_str(), "rows_affected" | "rows_returned"));
    fields.insert("operation".to_owned(), operation.into());
    fields.insert("duration_ms".to_owned(), duration.into());
    "a statement was slow"
}

/// Returns the verb of a statement and its first table, as `select users`.
fn operation_of(statement: &str) -> String {
    const VERBS: [&str; 14] = [
        "select", "insert", "update", "delete", "with", "create", "alter", "drop", "begin", "commit",
        "rollback", "pragma", "set", "vacuum",
    ];
    let words: Vec<String> = statement
        .split(|c: char| c.is_whitespace() || "(),;".contains(c))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let verb = words.first().map(String::as_str).filter(|word| VERBS.contains(word)).unwrap_or("statement");
    let before_the_table = match verb {
        "select" | "delete" | "with" => "from",
        "insert" => "into",
        "update" => "update",
        "create" | "alter" | "drop" => "table",
        _ => return verb.to_owned(),
    };
    let after = words.iter().skip_while(|word| *word != before_the_table).skip(1);
    let table = after.into_iter().find(|word| !["if", "not", "exists", "only"].contains(&word.as_str()));
    match table.filter(|word| is_name(word)) {
        Some(table) => format!("{verb} {table}"),
        None => verb.to_owned(),
    }
}

fn is_name(word: &str) -> bool {
    word.len() <= 64 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_only_the_verb_and_the_table_of_a_statement() {
        for (statement, operation) in [
            ("select id, (select 1 from b) from users where name = 'Ada'", "select b"),
            ("insert into users (id) values ('Ada')", "insert users"),
            ("UPDATE users SET name = 'Ada'", "update users"),
            ("delete from \"Ada\"", "delete"),
            ("create table if not exists t (v text)", "create t"),
            ("with recursive n(x) as (select 1) select 'Ada' from n", "with n"),
            ("pragma user_version = 1", "pragma"),
            ("'Ada' is not a verb", "statement"),
            ("", "statement"),
        ] {
            assert_eq!(operation_of(statement), operation, "{statement}");
        }
    }
}
