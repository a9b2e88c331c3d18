//! Golden files: the OpenAPI document, and the message as the first release sent it.

use prost::Message;
use proto::events::v1::ArticleRead;

use crate::service::TestService;
use crate::sink::{published_message, reading};

/// The golden file of recommendations, which must be the same message.
const ARTICLE_READ: &str = include_str!("../golden/article_read.v1.hex");

#[tokio::test]
async fn the_document_is_as_it_was() {
    let service = TestService::new().await;
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false }, {
        insta::assert_json_snapshot!("openapi", service.doc);
    });
}

#[tokio::test]
async fn article_read_is_sent_as_the_first_release_sent_it() {
    let message = published_message(&reading()).await;
    assert_eq!(hex(&message.body), ARTICLE_READ.trim());
    let around = (message.kind.as_str(), message.key.as_str(), message.source.as_str());
    assert_eq!(around, ("portal.events.v1.ArticleRead", "reading.politics.read", "orchestrator"));
}

#[test]
fn article_read_of_the_first_release_is_still_read() {
    let digits = ARTICLE_READ.trim().as_bytes();
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("a byte");
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    let event = ArticleRead::decode(bytes.as_slice()).expect("it can be read");
    let reading = reading();
    assert_eq!(event.reader_id, reading.reader.to_string());
    assert_eq!(event.article_id, reading.article.to_string());
    assert_eq!((event.section.as_str(), event.article_version), ("politics", 3));
    assert_eq!((event.labels, event.at_ms), (reading.labels, reading.at.millis()));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
