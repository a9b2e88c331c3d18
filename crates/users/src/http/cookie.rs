//! The cookie that holds a refresh token, and what protects it: scripts can't read it, other sites can't send it.

use std::time::Duration;

use chassis::http::Problem;
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use kernel::{Kind, Refusal};
use secrecy::ExposeSecret;

use crate::domain::RefreshToken;

const NAME: &str = "refresh_token";

/// How the cookie is set and from where it is taken.
#[derive(Clone)]
pub struct SessionCookie {
    /// Where a browser sends it: to the sessions and nowhere else.
    path: String,
    /// The site's own origin, as scheme and authority.
    scheme: String,
    authority: String,
    life: Duration,
}

impl SessionCookie {
    /// The cookie of the portal whose public URL is `issuer`, where these routes are shown under `base`.
    pub fn new(issuer: &str, base: &str, life: Duration) -> Self {
        let (scheme, authority) = origin(issuer).unwrap_or_default();
        Self { path: format!("{base}/sessions"), scheme, authority, life }
    }

    /// The header that gives the cookie to a browser (RFC 6265).
    pub fn set(&self, token: &RefreshToken) -> Option<HeaderValue> {
        let mut value = self.header(token.text().expose_secret(), self.life.as_secs()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The header that takes it away.
    pub fn clear(&self) -> Option<HeaderValue> {
        self.header("", 0).ok()
    }

    fn header(&self, value: &str, seconds: u64) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        // Plain http is for the one who tries it at home; there `Secure` would lose the cookie.
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        let path = &self.path;
        HeaderValue::try_from(format!(
            "{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        ))
    }

    /// The token that a browser sent, if it sent one. A request that another site made a browser send is refused.
    ///
    /// # Errors
    /// `foreign_origin`.
    pub fn taken(&self, headers: &HeaderMap) -> Result<Option<RefreshToken>, Problem> {
        let Some(text) = sent(headers) else { return Ok(None) };
        if self.is_foreign(headers) {
            let sentence = "This is asked for by the site itself, not by another one.";
            return Err(Refusal::new(Kind::Forbidden, "foreign_origin", sentence).into());
        }
        Ok(RefreshToken::parse(text))
    }

    /// Browsers name the origin of every such request, and no script can change it; what is no browser names none. The site's own
    /// origin is its public URL, or the host that was asked: the portal may be reached by another name at home.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let Some(named) = headers.get(ORIGIN) else {
            return headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        };
        let Some((scheme, authority)) = named.to_str().ok().and_then(origin) else { return true };
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
        let asked = asked.and_then(|host| origin(&format!("{scheme}://{host}")));
        let own = authority == self.authority || asked.is_some_and(|(_, asked)| asked == authority);
        scheme != self.scheme || !own
    }
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

fn sent(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, value)| *name == NAME && !value.is_empty()).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn cookie(issuer: &str) -> SessionCookie {
        SessionCookie::new(issuer, "/users/v1", DAY)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        pairs.iter().map(|(name, text)| (name.parse().expect("a name"), value(text))).collect()
    }

    #[test]
    fn it_is_for_the_sessions_alone_out_of_reach_of_scripts_and_on_https_secure() {
        let token = RefreshToken::mint();
        let text = |issuer| cookie(issuer).set(&token).expect("a value").to_str().expect("text").to_owned();
        let value = token.text();
        let wanted = format!(
            "refresh_token={}; Path=/users/v1/sessions; Max-Age=86400; HttpOnly; SameSite=Lax",
            value.expose_secret()
        );
        assert_eq!(text("http://127.0.0.1:8080"), wanted);
        assert_eq!(text("https://news.example"), format!("{wanted}; Secure"));
        let cleared = cookie("https://news.example").clear().expect("a value");
        assert!(
            cleared
                .to_str()
                .expect("text")
                .starts_with("refresh_token=; Path=/users/v1/sessions; Max-Age=0;")
        );
    }

    #[test]
    fn it_is_found_among_other_cookies_and_nothing_else_is_taken_for_it() {
        let token = RefreshToken::mint();
        let text = token.text();
        let sent = format!("theme=dark; refresh_token={}; x=1", text.expose_secret());
        let taken =
            |line: &str| cookie("http://h").taken(&headers(&[("cookie", line)])).expect("no other site");
        assert_eq!(taken(&sent).expect("a token").print(), token.print());
        for line in ["", "refresh_token", "refresh_token=", "my_refresh_token=abc", "refresh_token=abc"] {
            assert!(taken(line).is_none(), "{line}");
        }
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
        assert!(!refused(https, &[]), "what is no browser names no origin");
        assert!(refused(https, &[("sec-fetch-site", "cross-site")]));
        assert!(!refused(https, &[("sec-fetch-site", "same-origin")]));
        // Without a cookie there is nothing to protect.
        assert!(cookie(https).taken(&headers(&[("origin", "https://evil.example")])).is_ok());
    }
}
