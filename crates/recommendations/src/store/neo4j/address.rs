use std::fmt;

use chassis::StoreFailure;

/// Whose nodes they are where the URL does not say.
const PRODUCTION: &str = "portal";

/// What `neo4j://user:password@host:port?tenant=name` says. It prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// What the driver connects to: no password in it.
    pub server: String,
    /// The login's name.
    pub user: String,
    /// The login's password.
    pub password: String,
    /// Whose nodes are meant.
    pub tenant: String,
}

impl Address {
    /// Reads a URL. Name and password may hold escaped characters, as `%40` for an @.
    ///
    /// # Errors
    /// Where something is missing or not understood. The sentence quotes nothing of the URL.
    pub fn parse(url: &str) -> Result<Self, StoreFailure> {
        let told = |fault: &'static str| StoreFailure::broken(format!("store.url {fault}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| told("has no ://"))?;
        if !matches!(scheme, "neo4j" | "bolt") {
            return Err(told("must begin with neo4j:// or bolt://"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (login, host) = place.rsplit_once('@').ok_or_else(|| told("names no user"))?;
        let (user, password) = login.split_once(':').ok_or_else(|| told("has no password"))?;
        let host: http::uri::Authority = host.parse().map_err(|_| told("names no server"))?;
        let read = |text| unescaped(text).ok_or_else(|| told("has a % that escapes nothing"));
        Ok(Self {
            // One server with one database has nothing to route: always the plain protocol.
            server: format!("bolt://{host}"),
            user: read(user)?,
            password: read(password)?,
            tenant: match query.strip_prefix("tenant=") {
                Some(tenant) if !tenant.is_empty() => read(tenant)?,
                None if query.is_empty() => PRODUCTION.to_owned(),
                _ => return Err(told("may be followed by ?tenant=NAME and nothing else")),
            },
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.server, self.user)
    }
}

/// The text with `%41` as `A`; `None` where a % is not followed by two digits, or what comes out is no text.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_escape_characters_of_the_password() {
        let address = Address::parse("neo4j://neo4j:p%40ss%2fw:%C3%BC@graph:7687").expect("a good URL");
        assert_eq!((address.user.as_str(), address.password.as_str()), ("neo4j", "p@ss/w:ü"));
        assert_eq!((address.server.as_str(), address.tenant.as_str()), ("bolt://graph:7687", "portal"));
        let test = Address::parse("bolt://a:b@[::1]:7687/?tenant=test-1").expect("a good URL");
        assert_eq!((test.server.as_str(), test.tenant.as_str()), ("bolt://[::1]:7687", "test-1"));
    }

    #[test]
    fn a_bad_url_is_refused_and_not_quoted() {
        let bad = [
            "neo4j:u:geheim@graph",
            "http://u:geheim@graph",
            "neo4j://geheim@graph",
            "neo4j://u:geheim",
            "neo4j://u:geheim@",
            "neo4j://u:geheim%@graph",
            "neo4j://u:geheim%zz@graph",
            "neo4j://u:geheim%ff@graph",
            "neo4j://u:geheim@graph?tenant=",
            "neo4j://u:geheim@graph?database=x",
        ];
        for url in bad {
            let failure = Address::parse(url).expect_err(url);
            let shown = format!("{failure:?} {}", chassis::causes(&failure));
            assert!(shown.contains("store.url") && !shown.contains("geheim"), "{shown}");
        }
        let good = Address::parse("neo4j://u:geheim@graph").expect("a good URL");
        assert!(!format!("{good:?}").contains("geheim"));
    }
}
