//! The documents that the gateway serves as files. They must be those that the code generates.

use std::collections::BTreeSet;
use std::path::Path;

use portal::documents::Document;

use crate::gateway::{Gateway, Settings, status};
use crate::{repository, text};

async fn documents() -> Vec<Document> {
    let api = Box::pin(portal::openapi::document()).await.expect("the document of the API");
    let bus = Box::pin(portal::asyncapi::document()).await.expect("the document of the bus");
    portal::documents::all(&api, &bus).expect("all documents")
}

/// Collects every file below a folder, with its path relative to it.
fn files(folder: &Path, from: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, from, found);
        } else {
            let path = path.strip_prefix(from).expect("it lies there");
            found.insert(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

#[tokio::test]
async fn the_documents_of_the_gateway_are_those_of_the_code() {
    let (documents, folder) = (documents().await, repository("nginx/html"));
    let old: Vec<&str> = documents
        .iter()
        .filter(|document| !document.is_at(&folder.join(&document.file)))
        .map(|document| document.file.as_str())
        .collect();
    assert!(
        old.is_empty(),
        "{old:?} in nginx/html differ from the code. Generate them: cargo run -p portal -- documents nginx/html"
    );
    let mut there = BTreeSet::new();
    files(&folder, &folder, &mut there);
    assert_eq!(there, documents.into_iter().map(|document| document.file).collect());
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn the_gateway_serves_every_document_with_its_kind_its_headers_and_its_methods() {
    let gateway = Gateway::start(Settings::new()).await;
    let client = gateway.client();
    for document in documents().await {
        let path = document.path.as_str();
        let answer = client.get(path).send().await.expect_status(200);
        assert_eq!(answer.header("content-type"), Some(document.kind), "{path}");
        assert!(answer.body == document.uncompressed().expect("its bytes"), "{path} is another text");
        for name in ["etag", "x-request-id", "content-security-policy"] {
            assert!(answer.header(name).is_some(), "{path} has no {name}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        let control = answer.header("cache-control").expect("how long it may be kept");
        assert!(control.starts_with("public, max-age="), "{path}: {control}");
    }
    // The bare address redirects to the page to try the API. An address that only equals it after resolving
    // its dots does not.
    let front = client.get("/?x=1").send().await.expect_status(303);
    assert_eq!(front.header("location"), Some("/docs/"));
    let refused = client.put("/").send().await.expect_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET,HEAD"));
    assert_eq!(status(&gateway.raw_get("/x/..").await), 400);
    let refused = client.delete("/problems/stale_version").send().await;
    assert_eq!(refused.expect_problem(405, "method_not_allowed").header("allow"), Some("GET,HEAD"));
    for path in
        ["/docs/nothing.js", "/docs/../nginx.conf", "/problems/nothing", "/problems.html", "/docs.html"]
    {
        client.get(path).send().await.expect_problem(404, "not_found");
    }
    for (path, to) in [("/docs", "/docs/"), ("/problems", "/problems/")] {
        let moved = client.get(path).send().await.expect_status(308);
        assert_eq!(moved.header("location"), Some(to));
    }
}

/// The scripts of the page to try the API are half a megabyte even compressed. They are sent as stored, and
/// decompressed only for clients that don't accept gzip.
#[tokio::test]
#[ignore = "needs nginx"]
async fn a_compressed_file_is_sent_compressed_and_decompressed_for_clients_without_gzip() {
    let gateway = Gateway::start(Settings::new()).await;
    let ask = |accepts: &str| {
        format!("HEAD /docs/swagger-ui.css HTTP/1.1\r\nHost: portal\r\n{accepts}Connection: close\r\n\r\n")
            .into_bytes()
    };
    let packed = gateway.raw(&ask("Accept-Encoding: gzip\r\n")).await;
    assert!(packed.contains("Content-Encoding: gzip"), "{packed}");
    assert!(packed.contains("Vary: Accept-Encoding"), "{packed}");
    let plain = gateway.raw(&ask("")).await;
    assert!(!plain.contains("Content-Encoding"), "{plain}");
}

#[test]
fn the_codes_of_the_gateway_and_of_the_table_are_the_same() {
    let template = text("nginx/templates/problems.conf.template");
    let (_, rest) = template.split_once("map $status $problem_code {").expect("the map of codes");
    let (codes, _) = rest.split_once('}').expect("its end");
    let template_codes: BTreeSet<&str> =
        codes.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_whitespace().nth(1)).collect();
    let table = text("crates/chassis/src/http/codes.toml");
    let mut of_the_gateway = BTreeSet::new();
    for part in table.split("\n[").skip(1) {
        let (code, about) = part.split_once(']').expect("a head");
        if about.contains("\nby = \"") {
            of_the_gateway.insert(code);
        }
    }
    assert_eq!(template_codes, of_the_gateway);
    assert!(template_codes.len() > 15, "the template was hardly read");
}
