use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use http::Request;
use tower::ServiceExt;
use utoipa::openapi::{Info, Paths};

use super::*;

fn documents() -> Vec<Document> {
    all(&OpenApi::new(Info::new("a portal", "1"), Paths::new()), "{}").expect("the documents")
}

async fn get_document(path: &str, accepts: Option<&str>) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::get(path);
    let request = accepts.iter().fold(request, |it, value| it.header(header::ACCEPT_ENCODING, *value));
    let answer = router(documents()).oneshot(request.body(Body::empty()).expect("a request")).await;
    let (parts, body) = answer.expect("an answer").into_parts();
    (parts.status, parts.headers, to_bytes(body, usize::MAX).await.expect("a body"))
}

/// Returns the addresses that a page links to.
fn links(html: &str) -> BTreeSet<&str> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|it| !it.starts_with("data:")).collect()
}

#[tokio::test]
async fn every_link_of_a_page_leads_to_a_document_with_its_media_type() {
    let all = documents();
    let mut pages = 0;
    for page in all.iter().filter(|document| document.kind == HTML) {
        let html = String::from_utf8(page.bytes.to_vec()).expect("text");
        for address in links(&html) {
            let there = all.iter().find(|document| document.path == address);
            let there =
                there.unwrap_or_else(|| panic!("{} links to {address}, which does not exist", page.path));
            assert!(there.bytes.len() > 1, "{address} is empty");
        }
        pages += 1;
    }
    assert!(pages > 50, "only {pages} pages");
    for path in links(include_str!("docs.html")) {
        let (status, headers, body) = get_document(path, None).await;
        let kind = headers[header::CONTENT_TYPE].to_str().expect("text");
        let expected = match path.rsplit_once('.') {
            Some((_, "js")) => JS,
            Some((_, "css")) => CSS,
            Some((_, "json")) => JSON,
            _ => HTML,
        };
        assert_eq!((status, kind, body.is_empty()), (StatusCode::OK, expected, false), "{path}");
    }
}

#[test]
fn no_page_contains_a_script_or_a_style_so_the_strict_policy_breaks_none() {
    for page in documents().iter().filter(|document| document.kind == HTML) {
        let html = String::from_utf8(page.bytes.to_vec()).expect("text");
        for forbidden in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:", "//"] {
            assert!(!html.contains(forbidden), "{} contains {forbidden}", page.path);
        }
    }
    for policy in [POLICY_OF_DOCS, POLICY_OF_PAGES] {
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn a_compressed_file_is_decompressed_for_clients_that_do_not_accept_gzip() {
    let path = "/docs/swagger-ui-bundle.js";
    let (_, compressed, bytes) = get_document(path, Some("br, gzip;q=0.8")).await;
    assert_eq!(compressed[header::CONTENT_ENCODING], "gzip");
    for accepts in [None, Some("identity"), Some("gzip;q=0")] {
        let (_, plain, body) = get_document(path, accepts).await;
        assert!(!plain.contains_key(header::CONTENT_ENCODING), "{accepts:?}");
        assert_eq!(body, decompress(&bytes).expect("it is gzip"));
        assert_ne!(plain[header::ETAG], compressed[header::ETAG], "two forms, two tags");
        assert!(plain.get_all(header::VARY).iter().any(|name| name == "Accept-Encoding"));
    }
}

#[tokio::test]
async fn a_client_that_has_a_document_gets_304() {
    let (_, headers, _) = get_document("/docs/", None).await;
    assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY_OF_DOCS);
    let request = Request::get("/docs/").header(header::IF_NONE_MATCH, &headers[header::ETAG]);
    let answer = router(documents()).oneshot(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NOT_MODIFIED);
    let (status, headers, _) = get_document("/problems", None).await;
    assert_eq!(
        (status, &headers[header::LOCATION]),
        (StatusCode::PERMANENT_REDIRECT, &HeaderValue::from_static("/problems/"))
    );
}

#[tokio::test]
async fn the_bare_address_redirects_to_the_page_to_try_the_api() {
    let (status, headers, _) = get_document("/", None).await;
    assert_eq!(
        (status, &headers[header::LOCATION]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/docs/"))
    );
}

#[test]
fn the_files_are_written_and_the_page_of_a_removed_problem_is_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = documents();
    write(&all, folder.path()).expect("writes");
    let gone = folder.path().join("problems/no_more.html");
    std::fs::write(&gone, "old").expect("writes");
    write(&all, folder.path()).expect("writes again");
    assert!(!gone.exists());
    assert!(all.iter().all(|document| document.is_at(&folder.path().join(&document.file))));
    std::fs::write(folder.path().join("docs.html"), "another").expect("writes");
    assert!(all.iter().any(|document| !document.is_at(&folder.path().join(&document.file))));
}
