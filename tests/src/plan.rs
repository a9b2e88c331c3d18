//! The settings of each service of a fleet.

use std::net::SocketAddr;
use std::path::Path;

use crate::instance::{Instance, SERVICES};
use crate::stores::Stores;

/// The first admin's e-mail.
pub const ADMIN: &str = "admin@portal.internal";

/// The token of calls between services.
const TOKEN: &str = "the-tests-token-of-recommendations-at-users";

/// The inputs of the settings of all services.
pub(crate) struct Plan<'a> {
    /// The address of the gateway.
    pub(crate) address: SocketAddr,
    pub(crate) stores: &'a Stores,
    pub(crate) folder: &'a Path,
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

impl Plan<'_> {
    /// Returns the environment of this instance, one of `all`.
    pub(crate) fn variables(&self, instance: &Instance, all: &[Instance]) -> Vec<(String, String)> {
        let replicas = |service: &str, to: fn(&Instance) -> SocketAddr| {
            let of = all.iter().filter(|instance| instance.service == service);
            of.map(|instance| format!("http://{}", to(instance))).collect::<Vec<_>>()
        };
        // Users knows its own keys. The others fetch them from it, through the gateway if there are several
        // instances.
        let keys = match (instance.service, replicas("users", |it| it.http).as_slice()) {
            ("users", _) => format!("http://{}", instance.http),
            (_, [one]) => one.clone(),
            _ => format!("http://{}/users/v1", self.address),
        };
        let mut settings = vec![
            ("PROCESS__PROFILE", "production".to_owned()),
            ("PROCESS__EDGE__TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("PROCESS__LISTEN", instance.http.to_string()),
            ("PROCESS__GRPC_LISTEN", instance.grpc.to_string()),
            ("PROCESS__LOG_FORMAT", "json".to_owned()),
            ("BUS__URL", self.stores.amqp()),
            ("IDENTITY__ISSUER", format!("http://{}", self.address)),
            ("IDENTITY__KEYS", keys),
        ];
        settings.extend(self.own(instance.service, |service| replicas(service, |it| it.grpc).join(",")));
        settings.extend(self.settings.iter().filter_map(|(key, value)| {
            let (service, key) = split_service(key);
            service.is_none_or(|service| service == instance.service).then(|| (key, (*value).to_owned()))
        }));
        let prefix = prefix(instance.service);
        settings.into_iter().map(|(key, value)| (variable(&prefix, key), value)).collect()
    }

    /// Returns the settings of this service alone.
    fn own(&self, service: &str, grpc: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let base = |path: &str| ("PROCESS__EDGE__PUBLIC_BASE", path.to_owned());
        match service {
            "users" => vec![
                base("/users/v1"),
                ("STORE__URL", self.stores.postgres(service)),
                ("CACHE__URL", self.stores.cache()),
                ("INTAKE__URL", self.stores.intake()),
                ("SIGNING__KEY_FILE", file("signing-key.pem")),
                ("BOOTSTRAP_ADMIN__EMAIL", ADMIN.to_owned()),
                ("BOOTSTRAP_ADMIN__PASSWORD__FILE", file("admin-password")),
                ("GRPC__CALLERS__RECOMMENDATIONS__TOKEN", TOKEN.to_owned()),
            ],
            "orchestrator" => vec![
                base("/news/v1"),
                ("RECOMMENDATIONS__URL", grpc("recommendations")),
                ("RECOMMENDATIONS__TOKEN", TOKEN.to_owned()),
            ],
            "recommendations" => vec![
                base("/recommendation/v1"),
                ("STORE__URL", self.stores.neo4j(1)),
                ("USERS__URL", grpc("users")),
                ("USERS__TOKEN", TOKEN.to_owned()),
                ("GRPC__CALLERS__ORCHESTRATOR__TOKEN", TOKEN.to_owned()),
            ],
            _ => vec![
                ("EVENTS__URL", self.stores.postgres(service)),
                ("VIEW__URL", self.stores.mongodb(service)),
            ],
        }
    }
}

/// Splits a setting into the service that it is for, if it is for one alone, and its key. Such a setting
/// begins with the service's name, because the other services would refuse it.
fn split_service(key: &str) -> (Option<&'static str>, &str) {
    let of = |service: &'static str| {
        let key = key.strip_prefix(&prefix(service))?.strip_prefix("__")?;
        Some((Some(service), key))
    };
    SERVICES.into_iter().find_map(of).unwrap_or((None, key))
}

/// Returns the name of a setting in the environment of a program. Variables of a standard keep their names.
pub(crate) fn variable(program: &str, key: &str) -> String {
    if key.starts_with("OTEL_") { key.to_owned() } else { format!("{program}__{key}") }
}

/// Returns the prefix of a service's variables.
fn prefix(service: &str) -> String {
    service.replace('-', "_").to_ascii_uppercase()
}
