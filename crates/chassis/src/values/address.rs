use std::path::PathBuf;

use http::uri::{Scheme, Uri};
use serde::{Deserialize, Serialize};

use super::profile::Profile;
use super::url::{Url, UrlParts};

/// The address of a store, a bus or a service in a configuration. The scheme of its URL selects the adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The URL. It is shown without its password.
    pub url: Url,
}

impl Address {
    /// Returns the URL with the name of a service in place of `{service}`: one configuration may serve
    /// several services.
    pub fn of(&self, service: &str) -> Url {
        self.url.expose().replace("{service}", service).into()
    }
}

/// The forms of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A file of this process.
    Sqlite,
    /// The memory of this process.
    Memory,
    /// A file that connects the services of one process.
    Local,
    /// A neighbour in the same process.
    InProcess,
    /// A server that speaks HTTP.
    Http,
    /// One gRPC server, or several with commas between them.
    Grpc,
    /// PostgreSQL.
    Postgres,
    /// MongoDB, or a server that speaks its protocol.
    Mongo,
    /// Redis.
    Redis,
    /// Neo4j.
    Neo4j,
    /// RabbitMQ.
    Amqp,
}

impl Form {
    fn schemes(self) -> &'static [&'static str] {
        match self {
            Form::Sqlite => &["sqlite"],
            Form::Memory => &["memory"],
            Form::Local => &["local"],
            Form::InProcess => &["inproc"],
            Form::Http => &["http", "https"],
            Form::Grpc => &["http"],
            Form::Postgres => &["postgres", "postgresql"],
            Form::Mongo => &["mongodb"],
            Form::Redis => &["redis"],
            Form::Neo4j => &["neo4j", "bolt"],
            Form::Amqp => &["amqp", "amqps"],
        }
    }

    /// Returns an example, for the sentence that says what to set.
    fn example(self) -> &'static str {
        match self {
            Form::Sqlite => "sqlite:FILE",
            Form::Memory => "memory:",
            Form::Local => "local:FILE",
            Form::InProcess => "inproc://NAME",
            Form::Http => "an address such as http://users:3000",
            Form::Grpc => "an address such as http://users:50051",
            Form::Postgres => "postgres://USER:PASSWORD@HOST:5432/DATABASE",
            Form::Mongo => "mongodb://USER:PASSWORD@HOST:27017/DATABASE",
            Form::Redis => "redis://USER:PASSWORD@HOST:6379/0",
            Form::Neo4j => "neo4j://USER:PASSWORD@HOST:7687",
            Form::Amqp => "amqp://USER:PASSWORD@HOST:5672/VHOST",
        }
    }

    /// True if only a neighbour in the same process can answer.
    const fn needs_neighbours(self) -> bool {
        matches!(self, Form::Local | Form::InProcess)
    }

    /// True for a server that is reached through a driver. Decision 36 says which programs have the drivers.
    const fn needs_driver(self) -> bool {
        matches!(self, Form::Postgres | Form::Mongo | Form::Redis | Form::Neo4j | Form::Amqp)
    }

    /// True if the rest of the URL can have this form. The driver may still find a fault in its query.
    fn fits(self, url: &str) -> bool {
        let rest = url.split_once(':').map_or("", |(_, rest)| rest);
        match self {
            Form::Sqlite => sqlite_path(url).is_some(),
            Form::Memory => rest.is_empty(),
            Form::Local => !rest.is_empty() && !rest.starts_with("//"),
            Form::InProcess => rest.strip_prefix("//").is_some_and(is_name),
            Form::Http => url
                .parse::<Uri>()
                .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()) && !has_login(&uri)),
            Form::Grpc => grpc_servers(url).is_some(),
            // The server may be a socket, which the query names.
            #[cfg(feature = "servers")]
            Form::Postgres if !is_postgres(url) => false,
            Form::Postgres => names_host(url) || rest.contains("host=/"),
            Form::Mongo | Form::Redis | Form::Neo4j | Form::Amqp => names_host(url),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// True if the address contains a user or a password. Our services know none of their own kind by a password,
/// and an address of a service is shown in full.
fn has_login(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

fn names_host(url: &str) -> bool {
    UrlParts::of(url).is_some_and(|parts| !parts.host().is_empty())
}

/// Returns the file of a `sqlite:` URL.
pub(crate) fn sqlite_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

#[cfg(feature = "servers")]
fn is_postgres(url: &str) -> bool {
    url.parse::<sqlx::postgres::PgConnectOptions>().is_ok()
}

/// Returns the servers of `http://users:50051`, or of several such addresses with commas between them.
/// Returns `None` if one of them is not such an address.
pub(crate) fn grpc_servers(addresses: &str) -> Option<Vec<Uri>> {
    let servers: Vec<Uri> = addresses.split(',').map(|server| server.parse().ok()).collect::<Option<_>>()?;
    let are_valid = servers
        .iter()
        .all(|uri| uri.scheme() == Some(&Scheme::HTTP) && uri.port().is_some() && !has_login(uri));
    are_valid.then_some(servers)
}

/// Default passwords of servers, and the passwords that attackers try first.
const WELL_KNOWN: [&str; 10] =
    ["", "admin", "changeme", "default", "guest", "password", "postgres", "root", "secret", "test"];

/// True if the password is a well-known one, or the name of the user.
fn has_well_known_password(form: Form, url: &str) -> bool {
    let Some(parts) = UrlParts::of(url).filter(|parts| !parts.host().is_empty()) else { return false };
    match parts.user_and_password() {
        Some((user, password)) => {
            user == password || WELL_KNOWN.contains(&password.to_ascii_lowercase().as_str())
        }
        // Without a login the driver of the broker uses guest and guest.
        None => form == Form::Amqp,
    }
}

/// An address under a key of a configuration, and the forms that it may have.
pub struct Place {
    key: String,
    url: Url,
    forms: &'static [Form],
    has_drivers: bool,
    adapter_fault: Option<String>,
}

impl Place {
    /// The address `url` under `key`, which may have one of these forms.
    pub fn new(key: &str, url: &str, forms: &'static [Form]) -> Self {
        Self { key: key.to_owned(), url: url.into(), forms, has_drivers: true, adapter_fault: None }
    }

    /// Also runs the adapter's own parser. Its error must not quote the URL.
    pub fn read_by<E: std::error::Error>(mut self, read: impl FnOnce(&str) -> Result<(), E>) -> Self {
        // The failure of a store names its subject in its cause.
        let sentence = |fault: E| fault.source().map_or_else(|| fault.to_string(), super::causes);
        self.adapter_fault = read(self.url.expose()).err().map(sentence);
        self
    }

    /// States whether the crate that opens this address has the drivers of servers, which its feature
    /// `servers` brings.
    pub fn with_drivers(mut self, has_drivers: bool) -> Self {
        self.has_drivers = has_drivers;
        self
    }

    /// Puts the key below another one: `users` before `store.url`.
    pub fn below(mut self, key: &str) -> Self {
        self.key = format!("{key}.{}", self.key);
        self
    }

    /// Returns the fault of the address, if it has one, in a sentence without its password. `alone` is true
    /// for a service in a process of its own.
    pub fn fault(&self, profile: Profile, alone: bool) -> Option<String> {
        let (key, url) = (&self.key, self.url.expose());
        let mut candidates = self.forms.iter().filter(|form| form.schemes().contains(&self.url.scheme()));
        if !self.has_drivers && candidates.clone().any(|form| form.needs_driver()) {
            return Some(format!(
                "{key} is the address of a server, and this program was built without the drivers of servers; \
                 add `--features servers` to the command that builds it"
            ));
        }
        let Some(form) = candidates.find(|form| form.fits(url)) else {
            // Not even the scheme is quoted: if it is wrong, it may be a password.
            return Some(format!("{key} must be {}", either(self.forms.iter())));
        };
        if form.needs_neighbours() && (alone || profile == Profile::Production) {
            let others = either(self.forms.iter().filter(|form| !form.needs_neighbours()));
            let why = if alone {
                "only works if the services share a process"
            } else {
                "is for one process, and production is a fleet"
            };
            return Some(format!("{key} is {}, which {why}; set {others}", self.url));
        }
        if profile == Profile::Production && has_well_known_password(*form, url) {
            return Some(format!(
                "{key} has a well-known password, which production refuses; choose another one"
            ));
        }
        self.adapter_fault.clone().map(|fault| format!("{key}: {fault}"))
    }
}

fn either<'a>(forms: impl Iterator<Item = &'a Form>) -> String {
    forms.map(|form| form.example()).collect::<Vec<_>>().join(" or ")
}

/// Returns the fault of a path under which a gateway serves something, if it has one.
pub fn path_fault(key: &str, path: &str) -> Option<String> {
    let is_valid = path.is_empty()
        || path.starts_with('/')
            && !path.ends_with('/')
            && !path.contains("//")
            && path.parse::<http::uri::PathAndQuery>().is_ok_and(|read| read.query().is_none());
    (!is_valid)
        .then(|| format!("{key} must be a path such as /news/v1, without a slash at its end, or empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Form] = &[
        Form::Sqlite,
        Form::Memory,
        Form::Local,
        Form::InProcess,
        Form::Http,
        Form::Postgres,
        Form::Mongo,
        Form::Redis,
        Form::Neo4j,
        Form::Amqp,
    ];

    fn fault(url: &str, profile: Profile, alone: bool) -> Option<String> {
        Place::new("the.key", url, ALL).fault(profile, alone)
    }

    #[test]
    fn an_address_without_a_known_form_is_refused_and_not_quoted() {
        for bad in [
            "",
            "hunter2",
            "hunter2:x",
            "ftp://host",
            "sqlite:",
            "memory:x",
            "local:",
            "local://x",
            "inproc://",
            "inproc:users",
            "http://",
            "http://bob:hunter2@users:3000",
            "https://hunter2@news.example",
            "postgres://",
            "mongodb://user:hunter2@",
            "redis:host",
            "neo4j://:7687",
            "amqp:",
        ] {
            let fault = fault(bad, Profile::Development, false).unwrap_or_else(|| panic!("{bad} passed"));
            assert!(
                fault.starts_with("the.key must be sqlite:FILE or") && !fault.contains("hunter2"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_grpc_address_with_a_password_is_refused_and_not_quoted() {
        for bad in ["http://bob:hunter2@users:50051", "http://a:50051,http://bob:hunter2@b:50051"] {
            let place = Place::new("the.key", bad, &[Form::Grpc]);
            let fault = place.fault(Profile::Development, false).expect("it is refused");
            assert_eq!(fault, "the.key must be an address such as http://users:50051");
        }
    }

    #[test]
    fn an_address_of_each_form_passes() {
        for good in [
            "sqlite:data/users.db",
            "memory:",
            "local:data/bus.db",
            "inproc://users",
            "http://users:3000",
            "https://news.example/users/v1",
            "postgres://u:p%40ss@db:5432/users?sslmode=require",
            "postgresql://u:pw@db/users",
            "mongodb://u:pw@view:27017/x?tls=true",
            "redis://u:pw@cache:6379/0",
            "bolt://neo4j:pw@graph:7687",
            "amqps://users:pw@broker:5671/portal",
        ] {
            assert_eq!(fault(good, Profile::Development, false), None, "{good}");
        }
    }

    #[test]
    fn addresses_within_a_process_are_refused_in_production_and_for_a_service_alone() {
        for near in ["local:data/bus.db", "inproc://users"] {
            for (profile, alone) in [(Profile::Production, false), (Profile::Development, true)] {
                let fault = fault(near, profile, alone).expect("is refused");
                assert!(fault.starts_with(&format!("the.key is {near}, ")), "{fault}");
                assert!(fault.contains("http://users:3000") && !fault.contains("or local:"), "{fault}");
            }
        }
        assert_eq!(fault("sqlite:data/users.db", Profile::Production, true), None);
    }

    #[test]
    fn production_refuses_well_known_passwords_and_does_not_quote_them() {
        for open in [
            "amqp://broker:5672/portal",
            "amqp://guest:guest@broker",
            "postgres://postgres:postgres@db/users",
            "neo4j://neo4j:neo4j@graph:7687",
            "redis://users:changeme@cache",
            "mongodb://root@view",
        ] {
            let fault = fault(open, Profile::Production, true).unwrap_or_else(|| panic!("{open} passed"));
            assert_eq!(
                fault,
                "the.key has a well-known password, which production refuses; choose another one"
            );
            assert_eq!(super::Place::new("k", open, ALL).fault(Profile::Development, true), None);
        }
        assert_eq!(fault("amqp://users:d0a1c7@broker/portal", Profile::Production, true), None);
    }

    #[test]
    fn an_address_that_its_adapter_can_not_read_is_refused() {
        let place = |url: &str| Place::new("k", url, &[Form::Redis]).read_by(|_| Err(std::fmt::Error));
        assert_eq!(
            place("redis://cache").fault(Profile::Development, true).as_deref(),
            Some(format!("k: {}", std::fmt::Error).as_str())
        );
        assert!(
            place("x")
                .below("users")
                .fault(Profile::Development, true)
                .is_some_and(|it| it.starts_with("users.k must be"))
        );
    }

    #[test]
    fn a_public_path_begins_with_a_slash_and_does_not_end_with_one() {
        for good in ["", "/news/v1"] {
            assert_eq!(path_fault("k", good), None);
        }
        for bad in ["news", "/news/", "/", "/a?b", "/a b", "/a//b"] {
            assert!(path_fault("k", bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_program_without_drivers_says_how_to_build_one_that_opens_servers() {
        let fault = |url: &str| {
            Place::new("the.key", url, ALL).with_drivers(false).fault(Profile::Development, false)
        };
        for server in [
            "postgres://u:hunter2@db/users",
            "mongodb://u:hunter2@view/x",
            "redis://u:hunter2@cache",
            "bolt://neo4j:hunter2@graph",
            "amqp://u:hunter2@broker/portal",
        ] {
            assert_eq!(
                fault(server).as_deref(),
                Some(
                    "the.key is the address of a server, and this program was built without the drivers of \
                     servers; add `--features servers` to the command that builds it"
                )
            );
        }
        for other in ["sqlite:data/users.db", "memory:", "local:data/bus.db", "http://users:3000"] {
            assert_eq!(fault(other), None, "{other}");
        }
    }

    #[test]
    fn one_address_serves_several_services() {
        let address = Address { url: "sqlite:data/{service}.db".into() };
        assert_eq!(address.of("sports-news").expose(), "sqlite:data/sports-news.db");
    }
}
