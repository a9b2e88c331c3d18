use std::path::PathBuf;

/// Returns the URL of a server for tests, such as `engine("POSTGRES")`. It is the value of
/// `PORTAL_TEST_POSTGRES_URL`.
///
/// # Panics
/// If the variable is not set. A test that needs a server and has none must not pass.
#[track_caller]
pub fn engine(name: &str) -> String {
    variable(&format!("PORTAL_TEST_{name}_URL"))
}

/// Returns the URL of a server for tests with one more query parameter, such as `prefix=test:`.
///
/// # Panics
/// If the variable is not set, as [`engine`] does.
#[track_caller]
pub fn engine_with(name: &str, parameter: &str) -> String {
    let url = engine(name);
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameter}")
}

/// Returns the path of a program for tests, such as `program("NGINX")`. It is the value of
/// `PORTAL_TEST_NGINX`.
///
/// # Panics
/// If the variable is not set.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    variable(&format!("PORTAL_TEST_{name}")).into()
}

#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration; the environment names its servers"
)]
fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set. `cargo xtask test` starts the engines and sets it."))
}
