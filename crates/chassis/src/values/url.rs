use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of something outside, as `neo4j://user:password@host:7687`. The scheme selects the adapter.
///
/// It prints and serialises without its password and its query, so that a configuration can be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

/// The parts of `scheme://user:password@host:port/path?query`, as they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// The text before `://`.
    pub scheme: &'a str,
    /// The user, with or without a password behind a colon.
    pub login: Option<&'a str>,
    /// The host, with or without a port.
    pub authority: &'a str,
    /// The path with its first slash, or an empty text.
    pub path: &'a str,
    /// The text behind `?`.
    pub query: Option<&'a str>,
}

impl<'a> UrlParts<'a> {
    /// Splits a URL. Returns `None` if it has no `://`.
    ///
    /// The login ends at the last `@`: an unescaped password may hold any character.
    pub fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some(Self { scheme, login, authority, path, query })
    }

    /// Returns the user and the password; the password is empty if there is none.
    pub fn user_and_password(&self) -> Option<(&'a str, &'a str)> {
        self.login.map(|login| login.split_once(':').unwrap_or((login, "")))
    }

    /// Returns the host without its port.
    pub fn host(&self) -> &'a str {
        self.authority.rsplit_once(':').map_or(self.authority, |(host, _)| host)
    }
}

impl Url {
    /// Returns the whole URL, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the text before the first colon.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Splits the URL. Returns `None` if it has no `://`.
    pub fn parts(&self) -> Option<UrlParts<'_>> {
        UrlParts::of(&self.0)
    }
}

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(UrlParts { scheme, login, authority, path, query }) = self.parts() else {
            return f.write_str(&self.0);
        };
        write!(f, "{scheme}://")?;
        if let Some(login) = login {
            // A login without a colon may be a password.
            write!(f, "{}:***@", login.split_once(':').map_or("***", |(user, _)| user))?;
        }
        write!(f, "{authority}{path}")?;
        if query.is_some() { f.write_str("?***") } else { Ok(()) }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_printed_without_its_password_and_its_query() {
        let printed = |url: &str| Url::from(url).to_string();
        assert_eq!(printed("sqlite:data/users.db"), "sqlite:data/users.db");
        assert_eq!(printed("amqp://broker:5672/portal"), "amqp://broker:5672/portal");
        assert_eq!(printed("neo4j://neo4j:s3%2Fcret@graph:7687"), "neo4j://neo4j:***@graph:7687");
        assert_eq!(printed("postgres://u:s3cret@db/users?password=s3cret"), "postgres://u:***@db/users?***");
        assert_eq!(printed("redis://s3cret@cache:6379"), "redis://***:***@cache:6379");
        assert_eq!(printed("redis://:s3/cr@et@cache:6379/0"), "redis://:***@cache:6379/0");
        assert_eq!(format!("{:?}", Url::from("neo4j://u:s3cret@graph")), "neo4j://u:***@graph");
    }

    #[test]
    fn a_url_is_split_at_the_last_at_sign_and_an_unescaped_password_stays_whole() {
        let url = Url::from("redis://me:s3/cr@et@cache:6379/0?tls=true");
        let parts = url.parts().expect("it has an authority");
        assert_eq!((parts.scheme, parts.authority, parts.host()), ("redis", "cache:6379", "cache"));
        assert_eq!(parts.user_and_password(), Some(("me", "s3/cr@et")));
        assert_eq!((parts.path, parts.query), ("/0", Some("tls=true")));
        assert!(Url::from("sqlite:data/users.db").parts().is_none());
        let bare = Url::from("http://[::1]:80");
        let parts = bare.parts().expect("it has an authority");
        assert_eq!((parts.login, parts.host(), parts.path, parts.query), (None, "[::1]", "", None));
    }
}
