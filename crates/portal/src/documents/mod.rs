//! What the portal shows about itself: the documents of its API and of its bus, a page to try the API from,
//! and a page for every problem. One list, from which the one process serves and `portal documents` writes
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

/// What the page to try the API from may do: run its own files, ask its own origin. Swagger UI's pictures are
/// in its style sheet.
pub const POLICY_OF_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What every other page may do: be read.
pub const POLICY_OF_PAGES: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// How long a browser may keep what changes with a release only.
const OF_A_RELEASE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The AsyncAPI document as the portal and nginx serve it. A test compares it with the code.
pub const ASYNCAPI: &str = include_str!("../../../../nginx/html/asyncapi.json");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// One of them.
pub struct Document {
    /// Where it is served.
    pub path: String,
    /// The file in which nginx finds it, from the folder of all of them.
    pub file: String,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes, packed with gzip where `packed` says so.
    pub bytes: Bytes,
    /// Whether they are packed: what is large and never changes is kept that way, in the binary and in the
    /// file.
    pub packed: bool,
    policy: &'static str,
    etag: String,
}

impl Document {
    fn new(path: &str, file: &str, kind: &'static str, bytes: Bytes) -> Self {
        let policy = if path.starts_with("/docs/") { POLICY_OF_DOCS } else { POLICY_OF_PAGES };
        let etag = digest(&bytes);
        Self { path: path.to_owned(), file: file.to_owned(), kind, bytes, packed: false, policy, etag }
    }

    fn text(path: &str, file: &str, kind: &'static str, text: impl Into<String>) -> Self {
        Self::new(path, file, kind, text.into().into())
    }

    /// A file of Swagger UI, as it is in the binary.
    fn of_swagger_ui(name: &str, kind: &'static str) -> anyhow::Result<Self> {
        let found = utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json")));
        let found = found.ok().flatten().with_context(|| format!("Swagger UI has no {name}"))?;
        let file = if found.gzpipped { format!("docs/{name}.gz") } else { format!("docs/{name}") };
        let bytes = match found.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let document = Self::new(&format!("/docs/{name}"), &file, kind, bytes);
        Ok(Self { packed: found.gzpipped, ..document })
    }

    /// Its bytes as they are for whoever takes nothing packed.
    ///
    /// # Errors
    /// Where they can't be unpacked, which is a defect.
    pub fn plain(&self) -> std::io::Result<Bytes> {
        if self.packed { unpacked(&self.bytes) } else { Ok(self.bytes.clone()) }
    }

    /// Whether the file at `path` holds the same. Packed by another release of the packer it may look
    /// different.
    pub fn is_at(&self, path: &Path) -> bool {
        let Ok(there) = std::fs::read(path) else { return false };
        match self.plain() {
            Ok(plain) if self.packed => unpacked(&there).is_ok_and(|there| there == plain),
            _ => there == self.bytes,
        }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let unpack = self.packed && !takes_gzip(asked);
        let etag = if unpack { self.etag.replacen('"', "\"plain-", 1) } else { self.etag.clone() };
        let response = if etag_matches(asked, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            match if unpack { self.plain() } else { Ok(self.bytes.clone()) } {
                Ok(bytes) => ([(header::CONTENT_TYPE, self.kind)], bytes).into_response(),
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        };
        let mut response = tag(Cache::Public.on(response), &etag);
        let headers = response.headers_mut();
        if self.packed {
            headers.insert(header::CACHE_CONTROL, OF_A_RELEASE);
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if !unpack {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(self.policy));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn unpacked(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain)?;
    Ok(plain.into())
}

/// Whether a client takes gzip (RFC 9110 §12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut codings = lines.flat_map(|line| line.split(',')).map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        (name.trim().to_ascii_lowercase(), weight.trim().to_ascii_lowercase())
    });
    let refused = |weight: &str| weight.strip_prefix("q=").is_some_and(|it| it.parse() == Ok(0.0_f32));
    codings.any(|(name, weight)| (name == "gzip" || name == "*") && !refused(&weight))
}

/// All of them, for a portal with this API and this bus (AsyncAPI, as JSON).
///
/// # Errors
/// Where the document is no JSON, or a file of Swagger UI is not in the binary: defects.
pub fn all(api: &OpenApi, bus: &str) -> anyhow::Result<Vec<Document>> {
    let mut all = vec![
        Document::text("/openapi.json", "openapi.json", JSON, api.to_pretty_json()? + "\n"),
        Document::text("/asyncapi.json", "asyncapi.json", JSON, bus),
        Document::text("/docs/", "docs.html", HTML, include_str!("docs.html")),
        Document::text("/docs/style.css", "docs/style.css", CSS, include_str!("docs.css")),
        Document::text("/docs/start.js", "docs/start.js", JS, include_str!("docs.js")),
        Document::of_swagger_ui("swagger-ui-bundle.js", JS)?,
        Document::of_swagger_ui("swagger-ui.css", CSS)?,
        Document::text("/problems/", "problems.html", HTML, problem_index()),
        Document::text("/problems/style.css", "problems/style.css", CSS, PROBLEM_STYLE),
    ];
    for code in codes().keys() {
        let page = problem_page(code).context("a code has a page")?;
        all.push(Document::text(&format!("/problems/{code}"), &format!("problems/{code}.html"), HTML, page));
    }
    Ok(all)
}

/// Returns the routes of the documents. The bare address of the portal leads to the page to try the API,
/// until there is a site.
pub fn router(documents: Vec<Document>) -> Router {
    let folders = ["/docs", "/problems"];
    let front = Router::new().route("/", get(|| async { Redirect::to("/docs/") }));
    let router = documents.into_iter().fold(front, |router, document| {
        let path = document.path.clone();
        let document = Arc::new(document);
        router.route(&path, get(move |headers: HeaderMap| async move { document.answer(&headers) }))
    });
    folders.into_iter().fold(router, |router, folder| {
        router.route(folder, get(move || async move { Redirect::permanent(&format!("{folder}/")) }))
    })
}

/// Writes the files that nginx serves into `folder`, and takes away the pages of problems that are no more. A
/// packed file is left alone where it holds the same: packed by another release of the packer it would differ
/// for nothing.
///
/// # Errors
/// Where the folder can't be written.
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
