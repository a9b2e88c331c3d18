//! The document that the gateway shows.

use testkit::{Folder, Portal, portal_binary};

use crate::text;

/// nginx serves a file: it must say what the code says.
#[tokio::test]
async fn the_document_of_the_gateway_is_the_one_of_the_code() {
    let folder = Folder::new();
    let portal = Portal::start(portal_binary(), folder.path()).await;
    let of_the_code = portal.client().get("/openapi.json").send().await.expect_status(200).json();
    let served: serde_json::Value =
        serde_json::from_str(&text("nginx/html/openapi.json")).expect("the document is JSON");
    let paths = |document: &serde_json::Value| -> Vec<String> {
        document["paths"].as_object().expect("a document has paths").keys().cloned().collect()
    };
    assert_eq!(paths(&served), paths(&of_the_code));
    assert!(
        served == of_the_code,
        "nginx/html/openapi.json is not what the code says any more; to renew it: cargo run -p portal -- openapi > nginx/html/openapi.json"
    );
}
