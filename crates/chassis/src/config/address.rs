use serde::{Deserialize, Serialize};

use super::Profile;
use super::Url;

/// Where something is: the scheme of its URL chooses the adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The URL. It is shown without its password.
    pub url: Url,
}

impl Address {
    /// The URL with the name of a service in the place of `{service}`: one configuration may serve several.
    pub fn of(&self, service: &str) -> Url {
        self.url.expose().replace("{service}", service).into()
    }
}

/// What an address can look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A file of this process.
    Sqlite,
    /// The memory of this process.
    Memory,
    /// A file that joins the services of one process.
    Local,
    /// A neighbour in the same process.
    InProcess,
    /// A server that speaks HTTP.
    Http,
    /// One server that speaks gRPC, or several with commas between them.
    Grpc,
    /// PostgreSQL.
    Postgres,
    /// MongoDB, or what speaks its protocol.
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

    /// How it is written, for the sentence that says what to set.
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

    /// True where only a neighbour in the same process can answer.
    const fn needs_company(self) -> bool {
        matches!(self, Form::Local | Form::InProcess)
    }

    /// True where the rest of the URL can be one of this form. Its driver may still find a fault in what stands in the query.
    fn fits(self, url: &str) -> bool {
        let rest = url.split_once(':').map_or("", |(_, rest)| rest);
        match self {
            Form::Sqlite => crate::sqlite::path_of(url).is_some(),
            Form::Memory => rest.is_empty(),
            Form::Local => !rest.is_empty() && !rest.starts_with("//"),
            Form::InProcess => rest.strip_prefix("//").is_some_and(is_name),
            Form::Http => {
                url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
            }
            Form::Grpc => crate::grpc::Replicas::new(url).is_some(),
            // Its server may be a socket, which stands in the query.
            Form::Postgres => {
                crate::postgres::is_address(url) && (host_of(url).is_some() || rest.contains("host=/"))
            }
            Form::Mongo | Form::Redis | Form::Neo4j | Form::Amqp => host_of(url).is_some(),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Login and server of `scheme://login@server/…`; nothing where no server is named.
fn authority_of(url: &str) -> Option<(Option<&str>, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let host = place.split(['/', '?']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    (!name.is_empty()).then_some((login, host))
}

fn host_of(url: &str) -> Option<&str> {
    authority_of(url).map(|(_, host)| host)
}

/// Passwords that servers come with, or that everybody tries first.
const WELL_KNOWN: [&str; 10] =
    ["", "admin", "changeme", "default", "guest", "password", "postgres", "root", "secret", "test"];

/// True where the login is one that everybody knows: the password is well known, or the user's own name.
fn is_well_known(form: Form, url: &str) -> bool {
    let Some((login, _)) = authority_of(url) else { return false };
    match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => {
            user == password || WELL_KNOWN.contains(&password.to_ascii_lowercase().as_str())
        }
        // Without a login the broker's driver takes guest and guest.
        None => form == Form::Amqp,
    }
}

/// An address among the keys of a configuration, and which forms it may have.
pub struct Place {
    key: String,
    url: Url,
    forms: &'static [Form],
    more: Option<String>,
}

impl Place {
    /// The address `url` of `key`, which may have one of these forms.
    pub fn new(key: &str, url: &str, forms: &'static [Form]) -> Self {
        Self { key: key.to_owned(), url: url.into(), forms, more: None }
    }

    /// The same with what an adapter's own reader says of it, in a sentence that quotes nothing of it: where the form is right,
    /// that is a fault too.
    pub fn read_by<E: std::error::Error>(mut self, read: impl FnOnce(&str) -> Result<(), E>) -> Self {
        // A store's failure says what it is about in its cause.
        let sentence = |fault: E| fault.source().map_or_else(|| fault.to_string(), crate::causes);
        self.more = read(self.url.expose()).err().map(sentence);
        self
    }

    /// The same below another key: `users` before `store.url`.
    pub fn below(mut self, key: &str) -> Self {
        self.key = format!("{key}.{}", self.key);
        self
    }

    /// What is wrong with it, if anything, in a sentence that holds no password.
    pub fn fault(&self, profile: Profile, alone: bool) -> Option<String> {
        let (key, url) = (&self.key, self.url.expose());
        let form =
            self.forms.iter().find(|form| form.schemes().contains(&self.url.scheme()) && form.fits(url));
        let Some(form) = form else {
            // Not even the scheme is quoted: where it is wrong, a password may stand in its place.
            return Some(format!("{key} must be {}", or(self.forms.iter())));
        };
        if form.needs_company() && (alone || profile == Profile::Production) {
            let others = or(self.forms.iter().filter(|form| !form.needs_company()));
            let why = if alone {
                "only works where the services share a process"
            } else {
                "is for one process, and production is a fleet"
            };
            return Some(format!("{key} is {}, which {why}; set {others}", self.url));
        }
        if profile == Profile::Production && is_well_known(*form, url) {
            return Some(format!("{key} has a password that everybody knows, which production refuses"));
        }
        self.more.clone().map(|fault| format!("{key}: {fault}"))
    }
}

fn or<'a>(forms: impl Iterator<Item = &'a Form>) -> String {
    forms.map(|form| form.example()).collect::<Vec<_>>().join(" or ")
}

/// What is wrong with a path under which a gateway shows something, if anything.
pub fn path_fault(key: &str, path: &str) -> Option<String> {
    let good = path.is_empty()
        || path.starts_with('/')
            && !path.ends_with('/')
            && !path.contains("//")
            && path.parse::<http::uri::PathAndQuery>().is_ok_and(|read| read.query().is_none());
    (!good).then(|| format!("{key} must be a path such as /news/v1, without a slash at its end, or empty"))
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
    fn what_is_no_address_of_any_form_is_refused_and_not_quoted() {
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
    fn one_process_is_no_production_and_a_service_alone_has_no_neighbours() {
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
    fn production_refuses_passwords_that_everybody_knows_and_does_not_repeat_them() {
        for open in [
            "amqp://broker:5672/portal",
            "amqp://guest:guest@broker",
            "postgres://postgres:postgres@db/users",
            "neo4j://neo4j:neo4j@graph:7687",
            "redis://users:changeme@cache",
            "mongodb://root@view",
        ] {
            let fault = fault(open, Profile::Production, true).unwrap_or_else(|| panic!("{open} passed"));
            assert_eq!(fault, "the.key has a password that everybody knows, which production refuses");
            assert_eq!(super::Place::new("k", open, ALL).fault(Profile::Development, true), None);
        }
        assert_eq!(fault("amqp://users:d0a1c7@broker/portal", Profile::Production, true), None);
    }

    #[test]
    fn what_the_adapter_reads_differently_is_refused_where_the_form_is_right() {
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
    fn one_address_serves_several_services() {
        let address = Address { url: "sqlite:data/{service}.db".into() };
        assert_eq!(address.of("sports-news").expose(), "sqlite:data/sports-news.db");
    }
}
