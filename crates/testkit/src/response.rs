use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// A response whose body has been read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, in the order in which they were sent.
    pub headers: HeaderMap,
    /// The body. The network client has already decompressed it.
    pub body: Bytes,
    /// Method and path of the request, for messages.
    pub(crate) request: String,
}

impl Response {
    /// Returns true for 2xx: the server has acknowledged the request.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are visible ASCII"))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If the body is not valid JSON. The message contains the body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{self}, which is not JSON: {error}"))
    }

    /// Returns the `code` of a problem (RFC 9457), or an empty text for any other response.
    pub fn code(&self) -> String {
        text_of(&self.json_or_null()["code"])
    }

    /// Returns pointer and code of each entry in a problem's `errors`, in their order.
    pub fn faults(&self) -> Vec<(String, String)> {
        let problem = self.json_or_null();
        let errors = problem["errors"].as_array().into_iter().flatten();
        errors.map(|error| (text_of(&error["pointer"]), text_of(&error["code"]))).collect()
    }

    /// Returns the response itself if it has this status.
    ///
    /// # Panics
    /// If it has another status. The message contains the request and the body.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert!(self.status == status, "{self}; expected the status {status}");
        self
    }

    /// Returns the response itself if it is a problem with this status and this code.
    ///
    /// # Panics
    /// If it is anything else. The message contains the request and the body.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let is_problem =
            self.header("content-type").is_some_and(|kind| kind.starts_with("application/problem+json"));
        let is_expected = is_problem && self.status == status && self.code() == code;
        assert!(is_expected, "{self}; expected the problem {status} `{code}`");
        self
    }

    fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(2_000).collect();
        write!(f, "{} returned {} with the body `{text}`", self.request, self.status)
    }
}

/// The failure of a request that got no complete response: the server was down, or stopped while it
/// responded.
#[derive(Debug)]
pub struct NoResponse(pub(crate) String);

impl std::fmt::Display for NoResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoResponse {}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
