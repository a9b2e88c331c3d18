//! The documents about the portal: the OpenAPI document, the AsyncAPI document, a page to try the API, and a
//! page for every problem. They are one list. The one process serves it, and `portal documents` writes it as
//! the files that nginx serves.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use chassis::http::{Cache, PROBLEM_STYLE, codes, digest, etag_matches, problem_index, problem_page, tag};
use flate2::read::GzDecoder;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

/// The permissions of the page to try the API: it runs its own scripts and sends requests to its own origin.
/// The pictures of Swagger UI are in its style sheet.
pub const POLICY_OF_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The permissions of all other pages, which contain only text.
pub const POLICY_OF_PAGES: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The caching of files that change only with a release.
const CACHED_UNTIL_RELEASE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The AsyncAPI document as the portal and nginx serve it. A test compares it with the code.
pub const ASYNCAPI: &str = include_str!("../../../../nginx/html/asyncapi.json");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// A document about the portal.
pub struct Document {
    /// The path under which it is served.
    pub path: String,
    /// The file that nginx serves, relative to the folder of all documents.
    pub file: String,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes, compressed with gzip if `is_compressed`.
    pub bytes: Bytes,
    /// True for large files that never change: they are compressed in the binary and in the file.
    pub is_compressed: bool,
    policy: &'static str,
    etag: String,
}

impl Document {
    fn new(path: &str, file: &str, kind: &'static str, bytes: Bytes) -> Self {
        let policy = if path.starts_with("/docs/") { POLICY_OF_DOCS } else { POLICY_OF_PAGES };
        let etag = digest(&bytes);
        Self { path: path.to_owned(), file: file.to_owned(), kind, bytes, is_compressed: false, policy, etag }
    }

    fn text(path: &str, file: &str, kind: &'static str, text: impl Into<String>) -> Self {
        Self::new(path, file, kind, text.into().into())
    }

    /// Returns a file of Swagger UI from the binary.
    fn swagger_ui_file(name: &str, kind: &'static str) -> anyhow::Result<Self> {
        let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json")));
        let found = found.ok().flatten().with_context(|| format!("Swagger UI has no {name}"))?;
        let file = if found.gzpipped { format!("docs/{name}.gz") } else { format!("docs/{name}") };
        let bytes = match found.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let document = Self::new(&format!("/docs/{name}"), &file, kind, bytes);
        Ok(Self { is_compressed: found.gzpipped, ..document })
    }

    /// Returns its bytes without compression.
    ///
    /// # Errors
    /// If they can't be decompressed, which is a defect.
    pub fn uncompressed(&self) -> std::io::Result<Bytes> {
        if self.is_compressed { decompress(&self.bytes) } else { Ok(self.bytes.clone()) }
    }

    /// Returns true if the file at `path` has the same content. Another release of the compressor may have
    /// written other bytes.
    pub fn is_at(&self, path: &Path) -> bool {
        let Ok(there) = std::fs::read(path) else { return false };
        match self.uncompressed() {
            Ok(plain) if self.is_compressed => decompress(&there).is_ok_and(|there| there == plain),
            _ => there == self.bytes,
        }
    }

    fn respond(&self, request: &HeaderMap) -> Response {
        let decompressed = self.is_compressed && !accepts_gzip(request);
        let etag = if decompressed { self.etag.replacen('"', "\"plain-", 1) } else { self.etag.clone() };
        let response = if etag_matches(request, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            match if decompressed { self.uncompressed() } else { Ok(self.bytes.clone()) } {
                Ok(bytes) => ([(header::CONTENT_TYPE, self.kind)], bytes).into_response(),
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        };
        let mut response = tag(Cache::Public.on(response), &etag);
        let headers = response.headers_mut();
        if self.is_compressed {
            headers.insert(header::CACHE_CONTROL, CACHED_UNTIL_RELEASE);
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if !decompressed {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(self.policy));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn decompress(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain)?;
    Ok(plain.into())
}

/// Returns true if a client accepts gzip (RFC 9110 §12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut codings = lines.flat_map(|line| line.split(',')).map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        (name.trim().to_ascii_lowercase(), weight.trim().to_ascii_lowercase())
    });
    let refused = |weight: &str| weight.strip_prefix("q=").is_some_and(|it| it.parse() == Ok(0.0_f32));
    codings.any(|(name, weight)| (name == "gzip" || name == "*") && !refused(&weight))
}

/// Returns all documents of a portal with this API and this bus (AsyncAPI, as JSON).
///
/// # Errors
/// If the API can't be written as JSON, or a file of Swagger UI is not in the binary. Both are defects.
pub fn all(api: &OpenApi, bus: &str) -> anyhow::Result<Vec<Document>> {
    let mut all = vec![
        Document::text("/openapi.json", "openapi.json", JSON, api.to_pretty_json()? + "\n"),
        Document::text("/asyncapi.json", "asyncapi.json", JSON, bus),
        Document::text("/docs/", "docs.html", HTML, include_str!("docs.html")),
        Document::text("/docs/style.css", "docs/style.css", CSS, include_str!("docs.css")),
        Document::text("/docs/start.js", "docs/start.js", JS, include_str!("docs.js")),
        Document::swagger_ui_file("swagger-ui-bundle.js", JS)?,
        Document::swagger_ui_file("swagger-ui.css", CSS)?,
        Document::text("/problems/", "problems.html", HTML, problem_index()),
        Document::text("/problems/style.css", "problems/style.css", CSS, PROBLEM_STYLE),
    ];
    for code in codes().keys() {
        let page = problem_page(code).context("a code has a page")?;
        all.push(Document::text(&format!("/problems/{code}"), &format!("problems/{code}.html"), HTML, page));
    }
    Ok(all)
}

/// Returns the routes of all documents. The address `/` redirects to the page to try the API, until the
/// portal has a site.
pub fn router(documents: Vec<Document>) -> Router {
    let folders = ["/docs", "/problems"];
    let front = Router::new().route("/", get(|| async { Redirect::to("/docs/") }));
    let router = documents.into_iter().fold(front, |router, document| {
        let path = document.path.clone();
        let document = Arc::new(document);
        router.route(&path, get(move |headers: HeaderMap| async move { document.respond(&headers) }))
    });
    folders.into_iter().fold(router, |router, folder| {
        router.route(folder, get(move || async move { Redirect::permanent(&format!("{folder}/")) }))
    })
}

/// Writes the files that nginx serves into `folder`, and removes the pages of problems that no longer exist.
/// A compressed file with the same content stays as it is: another release of the compressor would only
/// change its bytes.
///
/// # Errors
/// If the folder can't be written.
pub fn write(documents: &[Document], folder: &Path) -> anyhow::Result<()> {
    for document in documents {
        let path = folder.join(&document.file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("the folder {}", parent.display()))?;
        }
        if document.is_at(&path) {
            continue;
        }
        std::fs::write(&path, &document.bytes).with_context(|| format!("the file {}", path.display()))?;
    }
    for entry in std::fs::read_dir(folder.join("problems"))? {
        let path = entry?.path();
        if !documents.iter().any(|document| folder.join(&document.file) == path) {
            std::fs::remove_file(&path).with_context(|| format!("the file {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
