use std::fmt;

use chassis::{StoreFailure, UrlParts};

/// The tenant if the URL does not name one.
const DEFAULT_TENANT: &str = "portal";

/// The parts of `neo4j://user:password@host:port?tenant=name`. Its debug form leaves out the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Neo4jAddress {
    /// The URL that the driver connects to, without login.
    pub server: String,
    /// The user name of the login.
    pub user: String,
    /// The password of the login.
    pub password: String,
    /// The tenant, which every node and every statement names.
    pub tenant: String,
}

impl Neo4jAddress {
    /// Parses a URL. Name and password may contain escaped characters, such as `%40` for an @.
    ///
    /// # Errors
    /// Fails if a part is missing or not valid. The error quotes nothing of the URL.
    pub fn parse(url: &str) -> Result<Self, StoreFailure> {
        let fault = |text: &'static str| StoreFailure::broken(format!("store.url {text}"));
        let parts = UrlParts::of(url).ok_or_else(|| fault("has no ://"))?;
        if !matches!(parts.scheme, "neo4j" | "bolt") {
            return Err(fault("must begin with neo4j:// or bolt://"));
        }
        let login = parts.login.ok_or_else(|| fault("names no user"))?;
        let (user, password) = login.split_once(':').ok_or_else(|| fault("has no password"))?;
        let host: http::uri::Authority = parts.authority.parse().map_err(|_| fault("names no server"))?;
        if !matches!(parts.path, "" | "/") {
            return Err(fault("may not have a path"));
        }
        let query = parts.query.unwrap_or_default();
        let decode = |text| {
            unescape(text).ok_or_else(|| {
                fault("contains a % that is not followed by two hexadecimal digits of valid UTF-8")
            })
        };
        Ok(Self {
            // One server with one database needs no routing, so the plain protocol is always used.
            server: format!("bolt://{host}"),
            user: decode(user)?,
            password: decode(password)?,
            tenant: match query.strip_prefix("tenant=") {
                Some(tenant) if !tenant.is_empty() => decode(tenant)?,
                None if query.is_empty() => DEFAULT_TENANT.to_owned(),
                _ => return Err(fault("may be followed by ?tenant=NAME and nothing else")),
            },
        })
    }
}

impl fmt::Debug for Neo4jAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.server, self.user)
    }
}

/// Decodes escapes such as `%41` for `A`. Returns `None` if a % is not followed by two digits, or if the
/// result is not UTF-8.
fn unescape(text: &str) -> Option<String> {
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
        let address = Neo4jAddress::parse("neo4j://neo4j:p%40ss%2fw:%C3%BC@graph:7687").expect("a valid URL");
        assert_eq!((address.user.as_str(), address.password.as_str()), ("neo4j", "p@ss/w:ü"));
        assert_eq!((address.server.as_str(), address.tenant.as_str()), ("bolt://graph:7687", "portal"));
        let test = Neo4jAddress::parse("bolt://a:b@[::1]:7687/?tenant=test-1").expect("a valid URL");
        assert_eq!((test.server.as_str(), test.tenant.as_str()), ("bolt://[::1]:7687", "test-1"));
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_quoted() {
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
            let failure = Neo4jAddress::parse(url).expect_err(url);
            let text = format!("{failure:?} {}", chassis::causes(&failure));
            assert!(text.contains("store.url") && !text.contains("geheim"), "{text}");
        }
        let good = Neo4jAddress::parse("neo4j://u:geheim@graph").expect("a valid URL");
        assert!(!format!("{good:?}").contains("geheim"));
    }
}
