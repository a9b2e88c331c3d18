//! The variables by which the tests find the engines, one URL for each.

use super::site::Site;
use super::state::{OWNER, State, TESTS};
use super::{docker, install, programs};

/// The folder of the engines.
pub const PLACE: &str = "PORTAL_TEST_ENGINES";

/// The path of this program, with which tests kill and start engines.
pub const XTASK: &str = "PORTAL_TEST_XTASK";

/// Returns all variables that the tests read, with their values.
pub fn variables(site: &Site) -> Vec<(&'static str, String)> {
    let mut variables = urls(&site.state, docker::is_used(&site.place));
    if let Ok(this) = std::env::current_exe() {
        variables.push((XTASK, this.display().to_string()));
    }
    // The tests of the rights of each service need the passwords of all services.
    if !docker::is_used(&site.place) {
        variables.push((PLACE, site.place.join("").display().to_string()));
    }
    if let Some(nginx) = programs::find("nginx") {
        variables.push(("PORTAL_TEST_NGINX", nginx.display().to_string()));
    }
    if let Some(compose) = install::compose_program(&site.place) {
        variables.push(("PORTAL_TEST_COMPOSE", compose.display().to_string()));
    }
    if let Some(schemathesis) = install::schemathesis_program(&site.place) {
        variables.push(("PORTAL_TEST_SCHEMATHESIS", schemathesis.display().to_string()));
    }
    variables
}

fn urls(state: &State, containers: bool) -> Vec<(&'static str, String)> {
    let tests = state.password(TESTS);
    let url = |scheme: &str, port: &str, rest: &str| {
        format!("{scheme}://{TESTS}:{tests}@127.0.0.1:{}{rest}", state.port(port))
    };
    // FerretDB passes the name of a client to PostgreSQL; MongoDB has users of its own.
    let login = if containers { "authSource=admin" } else { "authMechanism=PLAIN" };
    vec![
        ("PORTAL_TEST_POSTGRES_URL", url("postgres", "postgres", &format!("/{TESTS}"))),
        ("PORTAL_TEST_REDIS_CACHE_URL", url("redis", "redis-cache", "/0")),
        ("PORTAL_TEST_REDIS_INTAKE_URL", url("redis", "redis-intake", "/0")),
        ("PORTAL_TEST_AMQP_URL", url("amqp", "amqp", &format!("/{TESTS}"))),
        ("PORTAL_TEST_AMQP_MANAGEMENT_URL", url("http", "amqp-management", "")),
        ("PORTAL_TEST_MONGODB_URL", url("mongodb", "mongodb", &format!("/?{login}"))),
        // The Community edition has no roles: one user, one database.
        (
            "PORTAL_TEST_NEO4J_URL",
            format!("neo4j://neo4j:{}@127.0.0.1:{}", state.password(OWNER), state.port("bolt")),
        ),
    ]
}

/// Returns a line for a shell. No value contains a character that is special in a shell.
pub fn line(name: &str, value: &str) -> String {
    format!("export {name}='{value}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_a_url_on_the_loopback_address() {
        let mut state = State::default();
        state.complete(|_, _| true).expect("ports are free");
        let urls = urls(&state, false);
        assert_eq!(urls.len(), 7);
        for (name, url) in urls {
            assert!(name.starts_with("PORTAL_TEST_") && name.ends_with("_URL"), "{name}");
            assert!(url.contains("@127.0.0.1:"), "{url}");
            assert!(!url.contains('\''), "{url}");
        }
    }
}
