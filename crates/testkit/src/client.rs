use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

/// How long an answer may take. Far above every budget of the portal, so that it ends only what hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one server. Its clones share their connections; redirects are shown, not followed.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8080`, with connections of its own.
    #[allow(clippy::disallowed_methods, reason = "the portal's own client is what is tested")]
    pub fn new(base: &str) -> Self {
        static PROVIDER: Once = Once::new();
        // reqwest wants a TLS provider even for plain HTTP; where somebody has installed one already, that stays.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .tls_certs_only([]) // no https here: spares reading the system's certificates for every client
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without certificates can be built");
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    /// The URL it was made with, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request with any method; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> Call {
        let what = format!("{method} {path}");
        Call { request: self.http.request(method, format!("{}{path}", self.base)), what }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    /// PUT.
    pub fn put(&self, path: &str) -> Call {
        self.request(Method::PUT, path)
    }

    /// PATCH.
    pub fn patch(&self, path: &str) -> Call {
        self.request(Method::PATCH, path)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }
}

/// A request that is being put together.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    request: reqwest::RequestBuilder,
    what: String,
}

impl Call {
    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With an access token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// With a body of any bytes; the content type is the caller's to set.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request = self.request.body(body.into());
        self
    }

    /// Sends it and gives the whole answer.
    ///
    /// # Panics
    /// Where no answer comes.
    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends it to a server that may be killed meanwhile: then whether it had an effect is unknown.
    pub async fn try_send(self) -> Result<Answer, NoAnswer> {
        let Self { request, what } = self;
        let no_answer = |error: reqwest::Error| NoAnswer(format!("no answer to {what}: {}", words(&error)));
        let answer = request.send().await.map_err(no_answer)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(no_answer)?;
        Ok(Answer { status, headers, body, what })
    }
}

/// The error with its causes: reqwest's own text leaves them out.
fn words(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The server was gone, or went while it was answering.
#[derive(Debug)]
pub struct NoAnswer(String);

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked if it was compressed.
    pub body: Bytes,
    what: String,
}

impl Answer {
    /// True for 2xx: the server has acknowledged.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's first value, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are visible ASCII"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none, with the body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self} is not JSON ({error})"))
    }

    /// The `code` of a problem (RFC 9457); empty where the answer is none.
    pub fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer itself, where it has this status.
    ///
    /// # Panics
    /// Where it has another, with the request and the body.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert!(self.status == status, "{self}, where {status} was expected");
        self
    }

    /// The answer itself, where it is a problem of this status and code.
    ///
    /// # Panics
    /// Where it is not, with the request and the body.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let is_problem =
            self.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"));
        let as_expected = self.status == status && self.code() == code && is_problem;
        assert!(as_expected, "{self}, where the problem {status} `{code}` was expected");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(2_000).collect();
        write!(f, "the answer {} to {} with the body `{text}`", self.status, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that gives one answer, whatever it is asked, and then closes.
    fn server(answer: &'static str) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the client connects");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).expect("the client asks");
            stream.write_all(answer.as_bytes()).expect("the client listens");
        });
        Client::new(&format!("http://{address}/"))
    }

    const STALE: &str = "HTTP/1.1 412 Precondition Failed\r\ncontent-type: application/problem+json\r\n\
                         etag: \"v8\"\r\ncontent-length: 24\r\n\r\n{\"code\":\"stale_version\"}";

    #[tokio::test]
    async fn an_answer_has_its_status_headers_and_code() {
        let answer = server(STALE).put("/users/v1/1").token("t").send().await;
        let answer = answer.expect_problem(412, "stale_version");
        assert_eq!(answer.header("ETag"), Some("\"v8\""));
        assert_eq!(answer.json()["code"], "stale_version");
    }

    #[tokio::test]
    #[should_panic(
        expected = "the answer 412 to GET /x with the body `{\"code\":\"stale_version\"}`, where 200 was expected"
    )]
    async fn another_status_fails_with_the_request_and_the_body() {
        let answer = server(STALE).get("/x").send().await;
        let _ = answer.expect_status(200);
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_answer() {
        let error = server("").get("/x").try_send().await.expect_err("the server said nothing");
        assert!(error.to_string().starts_with("no answer to GET /x: "), "{error}");
    }
}
