//! The cookie that contains a refresh token. Scripts can't read it, and other sites can't send it.

use std::sync::Once;
use std::time::Duration;

use chassis::http::{Problem, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use kernel::{Kind, Refusal};
use secrecy::ExposeSecret;

use crate::domain::RefreshToken;

const NAME: &str = "refresh_token";
/// The most tokens that are read from a request: one for each path of ours, and some of other paths.
const MAX_TOKENS: usize = 8;

/// The session cookie: how it is set, cleared and read.
#[derive(Clone)]
pub struct SessionCookie {
    /// The paths that a browser sends it to: the sessions, under each prefix of these routes.
    paths: Vec<String>,
    /// The scheme of the site's own origin.
    scheme: String,
    /// The authority of the site's own origin.
    authority: String,
    /// The time for which a browser keeps the cookie.
    life: Duration,
}

impl SessionCookie {
    /// Creates the cookie of the portal whose public URL is `issuer`. These routes are served under each of
    /// `bases`.
    pub fn new(issuer: &str, bases: &[&str], life: Duration) -> Self {
        let (scheme, authority) = origin(issuer).unwrap_or_default();
        let paths = bases.iter().map(|base| format!("{base}/sessions")).collect();
        Self { paths, scheme, authority, life }
    }

    /// Returns the headers that set the cookie (RFC 6265), one for each path. All contain the same token, and
    /// every refresh replaces all of them, so a client may use both prefixes.
    pub fn set(&self, token: &RefreshToken) -> Vec<HeaderValue> {
        let mut values = self.headers(token.text().expose_secret(), self.life.as_secs());
        values.iter_mut().for_each(|value| value.set_sensitive(true));
        values
    }

    /// Returns the headers that clear the cookie.
    pub fn clear(&self) -> Vec<HeaderValue> {
        self.headers("", 0)
    }

    fn headers(&self, value: &str, seconds: u64) -> Vec<HeaderValue> {
        // Plain HTTP is for trying the portal at home; there `Secure` would make browsers drop the cookie.
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        let header = |path: &String| {
            HeaderValue::try_from(format!(
                "{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
            ))
        };
        self.paths.iter().flat_map(header).collect()
    }

    /// Reads every token in the request, each once, at most [`MAX_TOKENS`]. Cookies of other paths may have
    /// the same name, and a request does not say which cookie has which path. A request that another site
    /// made a browser send is refused.
    ///
    /// # Errors
    /// `foreign_origin`.
    pub fn read(&self, headers: &HeaderMap) -> Result<Vec<RefreshToken>, Problem> {
        let tokens = parse_tokens(headers);
        if !tokens.is_empty() && self.is_foreign(headers) {
            let detail =
                "A page of another site sent this request: only the portal may use its session cookie.";
            return Err(Refusal::new(Kind::Forbidden, "foreign_origin", detail).into());
        }
        Ok(tokens)
    }

    /// Says whether a page of another site made a browser send the request. Browsers name the origin of every
    /// such request, and no script can change it; other clients name none. The site's own origin is its
    /// public URL or the requested URL, because at home the portal may have another name. A trusted proxy
    /// names the scheme and host of the requested URL in `X-Forwarded-Proto` and `X-Forwarded-Host`; the edge
    /// removes these headers from other requests.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(ORIGIN) else {
            return headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        };
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let Some(sender) = value.to_str().ok().and_then(origin) else { return true };
        let scheme = text(X_FORWARDED_PROTO).unwrap_or(&self.scheme);
        let is_requested =
            |host| origin(&format!("{scheme}://{host}")).is_some_and(|requested| requested == sender);
        let is_public = sender.0 == self.scheme && sender.1 == self.authority;
        let is_own = is_public || [HOST, X_FORWARDED_HOST].into_iter().filter_map(text).any(is_requested);
        if !is_own {
            log_hint(&sender, &self.scheme, &self.authority);
        }
        !is_own
    }
}

/// Logs once which setting names the site's own origin, in case the refusal was a mistake.
fn log_hint((scheme, authority): &(String, String), own_scheme: &str, own_authority: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            origin = %format_args!("{scheme}://{authority}"),
            public_url = %format_args!("{own_scheme}://{own_authority}"),
            "a page of another origin was refused the session cookie (`foreign_origin`): if this is the portal's own address, \
             set `public_url` to it (in a fleet `users.identity.issuer` of every service), or name the proxy that ends TLS in \
             `process.edge.trusted_proxies`"
        );
    });
}

/// Returns scheme and authority of a URL in a form that can be compared.
fn origin(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split('/').next()?.to_ascii_lowercase();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
    (!authority.is_empty()).then_some((scheme, authority))
}

/// Reads the tokens as bytes: a cookie of another path may contain anything, and must not hide ours.
fn parse_tokens(headers: &HeaderMap) -> Vec<RefreshToken> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let mut tokens: Vec<RefreshToken> = Vec::new();
    for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
        let Some(token) = parse_pair(pair) else { continue };
        if tokens.iter().all(|known| known.digest() != token.digest()) {
            tokens.push(token);
        }
        if tokens.len() == MAX_TOKENS {
            break;
        }
    }
    tokens
}

fn parse_pair(pair: &[u8]) -> Option<RefreshToken> {
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
        let expected = ["/users/v1/sessions", "/v1/users/sessions"].map(|path| {
            let value = value.expose_secret();
            format!("refresh_token={value}; Path={path}; Max-Age=86400; HttpOnly; SameSite=Lax")
        });
        assert_eq!(texts(cookie("http://127.0.0.1:8080").set(&token)), expected);
        let secure = expected.map(|line| format!("{line}; Secure"));
        assert_eq!(texts(cookie("https://news.example").set(&token)), secure);
        let cleared = texts(cookie("https://news.example").clear());
        assert_eq!(cleared.len(), 2);
        assert!(cleared[0].starts_with("refresh_token=; Path=/users/v1/sessions; Max-Age=0;"));
        assert!(cleared[1].starts_with("refresh_token=; Path=/v1/users/sessions; Max-Age=0;"));
    }

    fn read(lines: &[&[u8]]) -> Vec<RefreshToken> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).expect("a value"));
        }
        cookie("http://h").read(&headers).expect("the site itself")
    }

    #[test]
    fn every_token_among_other_cookies_is_found_and_no_other_text_is_read_as_one() {
        let (token, other) = (RefreshToken::mint(), RefreshToken::mint());
        let (token, other) = (token.text(), other.text());
        let (token, other) = (token.expose_secret(), other.expose_secret());
        let found = |lines: &[&str]| -> Vec<String> {
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            read(&lines).iter().map(|token| token.text().expose_secret().to_owned()).collect()
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
        assert_eq!(read(&[&latin]).len(), 1);
        let many: Vec<String> = (0..100)
            .map(|_| format!("refresh_token={}", RefreshToken::mint().text().expose_secret()))
            .collect();
        assert_eq!(found(&[&many.join("; ")]).len(), MAX_TOKENS);
    }

    #[test]
    fn another_site_can_not_make_a_browser_use_the_cookie() {
        let text = RefreshToken::mint().text();
        let line = format!("refresh_token={}", text.expose_secret());
        let refused = |issuer: &str, more: &[(&'static str, &str)]| {
            let all = [&[("cookie", line.as_str()), ("host", "portal.internal:8080")], more].concat();
            cookie(issuer).read(&headers(&all)).is_err()
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
        assert!(!refused(https, &[]), "a client that is not a browser names no origin");
        assert!(refused(https, &[("sec-fetch-site", "cross-site")]));
        assert!(!refused(https, &[("sec-fetch-site", "same-origin")]));
        // Without a cookie there is nothing to protect.
        assert!(cookie(https).read(&headers(&[("origin", "https://evil.example")])).is_ok());
    }
}
