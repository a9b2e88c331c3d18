//! The cookie that holds a refresh token, and what protects it: scripts can't read it, other sites can't send it.

use std::sync::Once;
use std::time::Duration;

use chassis::http::{Problem, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use kernel::{Kind, Refusal};
use secrecy::ExposeSecret;

use crate::domain::RefreshToken;

const NAME: &str = "refresh_token";
/// The most tokens that are read of a request: one for each path that a browser may have ours from, and some of neighbours.
const MOST: usize = 8;

/// How the cookie is set and from where it is taken.
#[derive(Clone)]
pub struct SessionCookie {
    /// Where a browser sends it: to the sessions and nowhere else, by each prefix that these routes have.
    paths: Vec<String>,
    /// The site's own origin, as scheme and authority.
    scheme: String,
    authority: String,
    life: Duration,
}

impl SessionCookie {
    /// The cookie of the portal whose public URL is `issuer`, where these routes are shown under each of `bases`.
    pub fn new(issuer: &str, bases: &[&str], life: Duration) -> Self {
        let (scheme, authority) = origin(issuer).unwrap_or_default();
        let paths = bases.iter().map(|base| format!("{base}/sessions")).collect();
        Self { paths, scheme, authority, life }
    }

    /// The headers that give the cookie to a browser (RFC 6265): one for each path. All hold the same token, and every refresh
    /// replaces all of them, so a client may use the prefixes by turns.
    pub fn set(&self, token: &RefreshToken) -> Vec<HeaderValue> {
        let mut values = self.headers(token.text().expose_secret(), self.life.as_secs());
        values.iter_mut().for_each(|value| value.set_sensitive(true));
        values
    }

    /// The headers that take it away.
    pub fn clear(&self) -> Vec<HeaderValue> {
        self.headers("", 0)
    }

    fn headers(&self, value: &str, seconds: u64) -> Vec<HeaderValue> {
        // Plain http is for the one who tries it at home; there `Secure` would lose the cookie.
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        let header = |path: &String| {
            HeaderValue::try_from(format!(
                "{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
            ))
        };
        self.paths.iter().flat_map(header).collect()
    }

    /// Every token that a browser sent, each once, at most [`MOST`]. Cookies of neighbours may have the same name, and it is not
    /// known which came from which path. A request that another site made a browser send is refused.
    ///
    /// # Errors
    /// `foreign_origin`.
    pub fn taken(&self, headers: &HeaderMap) -> Result<Vec<RefreshToken>, Problem> {
        let tokens = sent(headers);
        if !tokens.is_empty() && self.is_foreign(headers) {
            let sentence = "This is asked for by the site itself, not by another one.";
            return Err(Refusal::new(Kind::Forbidden, "foreign_origin", sentence).into());
        }
        Ok(tokens)
    }

    /// Whether a page of another site made a browser send the request. Browsers name the origin of every such request, and no script
    /// can change it; other clients name none. The site's own origin is its public URL, or the URL that was asked for: the portal may
    /// be reached by another name at home. A trusted proxy names the scheme and host of that URL in `X-Forwarded-Proto` and
    /// `X-Forwarded-Host`; the edge takes those of others away.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let Some(named) = headers.get(ORIGIN) else {
            return headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        };
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let Some(named) = named.to_str().ok().and_then(origin) else { return true };
        let scheme = text(X_FORWARDED_PROTO).unwrap_or(&self.scheme);
        let asked = |host| origin(&format!("{scheme}://{host}")).is_some_and(|asked| asked == named);
        let is_public = named.0 == self.scheme && named.1 == self.authority;
        let is_own = is_public || [HOST, X_FORWARDED_HOST].into_iter().filter_map(text).any(asked);
        if !is_own {
            hint(&named, &self.scheme, &self.authority);
        }
        !is_own
    }
}

/// Logs once which setting makes the site's own pages known, if a refusal was a mistake.
fn hint((scheme, authority): &(String, String), own_scheme: &str, own_authority: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            origin = %format_args!("{scheme}://{authority}"),
            public_url = %format_args!("{own_scheme}://{own_authority}"),
            "a session was refused to a page of another origin (`foreign_origin`): if it is the portal's own address, set \
             `public_url` (in a fleet `users.identity.issuer` of every service) to it, or name the proxy that ends TLS in \
             `process.edge.trusted_proxies`"
        );
    });
}

/// Scheme and authority of a URL, in the form in which they can be compared.
fn origin(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split('/').next()?.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(&authority).to_owned();
    (!authority.is_empty()).then_some((scheme, authority))
}

/// Reads bytes: a cookie of a neighbour may hold anything, and hides none beside it.
fn sent(headers: &HeaderMap) -> Vec<RefreshToken> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let mut tokens: Vec<RefreshToken> = Vec::new();
    for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
        let Some(token) = token_of(pair) else { continue };
        if tokens.iter().all(|known| known.print() != token.print()) {
            tokens.push(token);
        }
        if tokens.len() == MOST {
            break;
        }
    }
    tokens
}

fn token_of(pair: &[u8]) -> Option<RefreshToken> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let text = std::str::from_utf8(bare.unwrap_or(value)).ok()?;
    if name == NAME.as_bytes() { RefreshToken::parse(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn cookie(issuer: &str) -> SessionCookie {
        SessionCookie::new(issuer, &["/users/v1", "/v1/users"], DAY)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        pairs.iter().map(|(name, text)| (name.parse().expect("a name"), value(text))).collect()
    }

    #[test]
    fn it_is_for_the_sessions_alone_by_each_prefix_out_of_reach_of_scripts_and_on_https_secure() {
        let token = RefreshToken::mint();
        let texts = |headers: Vec<HeaderValue>| -> Vec<String> {
            headers.iter().map(|value| value.to_str().expect("text").to_owned()).collect()
        };
        let value = token.text();
        let wanted = ["/users/v1/sessions", "/v1/users/sessions"].map(|path| {
            let value = value.expose_secret();
            format!("refresh_token={value}; Path={path}; Max-Age=86400; HttpOnly; SameSite=Lax")
        });
        assert_eq!(texts(cookie("http://127.0.0.1:8080").set(&token)), wanted);
        let secure = wanted.map(|line| format!("{line}; Secure"));
        assert_eq!(texts(cookie("https://news.example").set(&token)), secure);
        let cleared = texts(cookie("https://news.example").clear());
        assert_eq!(cleared.len(), 2);
        assert!(cleared[0].starts_with("refresh_token=; Path=/users/v1/sessions; Max-Age=0;"));
        assert!(cleared[1].starts_with("refresh_token=; Path=/v1/users/sessions; Max-Age=0;"));
    }

    fn taken(lines: &[&[u8]]) -> Vec<RefreshToken> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).expect("a value"));
        }
        cookie("http://h").taken(&headers).expect("no other site")
    }

    #[test]
    fn every_token_among_other_cookies_is_found_and_nothing_else_is_taken_for_one() {
        let (token, other) = (RefreshToken::mint(), RefreshToken::mint());
        let (token, other) = (token.text(), other.text());
        let (token, other) = (token.expose_secret(), other.expose_secret());
        let found = |lines: &[&str]| -> Vec<String> {
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            taken(&lines).iter().map(|token| token.text().expose_secret().to_owned()).collect()
        };
        for line in [
            format!("theme=dark; refresh_token={token}; x=1"),
            format!("refresh_token=junk; refresh_token={token}"),
            format!("refresh_token={token}; refresh_token={token}; refresh_token="),
            format!("name=Jörg; refresh_token=\"{token}\""),
            format!("refresh_token={token};;=;x"),
        ] {
            assert_eq!(found(&[&line]), [token], "{line}");
        }
        let both = [format!("refresh_token={other}"), format!("a=b;refresh_token={token}")];
        assert_eq!(found(&[&both[0], &both[1]]), [other, token]);
        for line in ["", "refresh_token", "refresh_token=", "my_refresh_token=abc", "refresh_token=abc"] {
            assert!(found(&[line]).is_empty(), "{line}");
        }
        let latin = [b"name=J\xf6rg; refresh_token=", token.as_bytes()].concat();
        assert_eq!(taken(&[&latin]).len(), 1);
        let many: Vec<String> = (0..100)
            .map(|_| format!("refresh_token={}", RefreshToken::mint().text().expose_secret()))
            .collect();
        assert_eq!(found(&[&many.join("; ")]).len(), MOST);
    }

    #[test]
    fn another_site_can_not_make_a_browser_use_it() {
        let text = RefreshToken::mint().text();
        let line = format!("refresh_token={}", text.expose_secret());
        let refused = |issuer: &str, more: &[(&'static str, &str)]| {
            let all = [&[("cookie", line.as_str()), ("host", "portal.internal:8080")], more].concat();
            cookie(issuer).taken(&headers(&all)).is_err()
        };
        let https = "https://News.Example:443";
        for (origin, foreign) in [
            ("https://news.example", false),
            ("https://news.example:443", false),
            ("https://portal.internal:8080", false),
            ("http://news.example", true),
            ("http://portal.internal:8080", true),
            ("https://news.example.evil.example", true),
            ("https://evil.example", true),
            ("null", true),
            ("", true),
        ] {
            assert_eq!(refused(https, &[("origin", origin)]), foreign, "{origin}");
        }
        let behind_tls = [("x-forwarded-proto", "https"), ("x-forwarded-host", "www.example")];
        for (origin, foreign) in [
            ("https://www.example", false),
            ("https://portal.internal:8080", false),
            ("http://127.0.0.1:8080", false),
            ("http://www.example", true),
            ("https://127.0.0.1:8080", true),
            ("https://evil.example", true),
        ] {
            let more = [&behind_tls[..], &[("origin", origin)]].concat();
            assert_eq!(
                refused("http://127.0.0.1:8080", &more),
                foreign,
                "behind a proxy that ends TLS: {origin}"
            );
        }
        assert!(!refused(https, &[]), "what is no browser names no origin");
        assert!(refused(https, &[("sec-fetch-site", "cross-site")]));
        assert!(!refused(https, &[("sec-fetch-site", "same-origin")]));
        // Without a cookie there is nothing to protect.
        assert!(cookie(https).taken(&headers(&[("origin", "https://evil.example")])).is_ok());
    }
}
