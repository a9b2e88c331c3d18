//! The host of a request: every request names one (RFC 9112, section 3.2; RFC 9113, section 8.3.1).

use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};

use crate::http::Problem;

/// True if a request names its host as its protocol requires.
///
/// HTTP/1.1 has exactly one `Host`; HTTP/1.0 may have none. HTTP/2 has `:authority` or `Host`; if it has
/// both, they are the same. Each of them must be a host with or without a port.
pub(super) fn is_valid<B>(request: &Request<B>) -> bool {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    if hosts.len() > 1 || hosts.iter().any(|host| !is_host(host.as_bytes())) {
        return false;
    }
    let authority = request.uri().authority();
    if authority.is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return false;
    }
    match request.version() {
        Version::HTTP_09 | Version::HTTP_10 => true,
        Version::HTTP_2 | Version::HTTP_3 => match (authority, hosts.first()) {
            (Some(authority), Some(host)) => {
                host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
            }
            (authority, host) => authority.is_some() || host.is_some(),
        },
        _ => !hosts.is_empty(),
    }
}

/// True if the bytes are a host, or a host and a port, without a user in front of them.
fn is_host(bytes: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(bytes) else { return false };
    let text = authority.as_str();
    let port = text.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    let rest_is_port = text.len() == authority.host().len()
        || port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
    !text.contains('@') && !authority.host().is_empty() && rest_is_port
}

/// Copies `:authority` to `Host`, so that handlers find the host in one place.
pub(super) fn unify<B>(request: &mut Request<B>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let authority = request.uri().authority().map(Authority::as_str);
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Returns the answer to a request without a valid host.
pub(super) fn refusal(path: &str) -> Response<axum::body::Body> {
    let sentence = "A request must name its host once: the Host header must be a host with or without a port, such as \
                    `news.example` or `127.0.0.1:8080`.";
    let problem = Problem::of_http(StatusCode::BAD_REQUEST, "bad_request", sentence);
    problem.into_parts().render(path, &kernel::Trace::start().id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let request = Request::builder().version(version).uri(uri);
        let request = hosts.iter().fold(request, |request, host| request.header(header::HOST, *host));
        is_valid(&request.body(()).expect("a request"))
    }

    #[test]
    fn http_1_1_names_one_valid_host_and_http_1_0_may_name_none() {
        let with = |hosts: &[&str]| valid(Version::HTTP_11, "/", hosts);
        for host in ["news.example", "127.0.0.1:8080", "[::1]:80", "news.example:", "LOCALHOST"] {
            assert!(with(&[host]), "{host}");
        }
        assert!(!with(&[]));
        assert!(!with(&["a", "a"]), "twice is not once");
        for host in ["", "a b", "a/b", "me@a", "a:99999", "a:b", ":80", "a\\b", "a<b", "a:1:2", "ü", "[::1"]
        {
            assert!(!with(&[host]), "{host:?}");
            assert!(!valid(Version::HTTP_10, "/", &[host]), "{host:?}");
        }
        assert!(valid(Version::HTTP_10, "/", &[]));
    }

    #[test]
    fn http_2_names_its_host_as_authority_and_a_second_name_is_the_same() {
        let valid = |uri: &str, hosts: &[&str]| valid(Version::HTTP_2, uri, hosts);
        assert!(valid("http://news.example/", &[]) && valid("/", &["news.example"]));
        assert!(valid("http://news.example/", &["News.Example"]));
        assert!(!valid("/", &[]));
        assert!(!valid("http://news.example/", &["other.example"]));
        assert!(!valid("http://me@news.example/", &[]));
    }
}
