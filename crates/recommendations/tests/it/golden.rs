//! Golden files: the OpenAPI document, and each message as the first release wrote it.

use kernel::UserId;

use crate::service::TestService;

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_is_unchanged() {
    let service = TestService::new().await;
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false }, {
        insta::assert_json_snapshot!("openapi", service.doc);
    });
}

fn decode_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("a byte");
    digits.chunks(2).map(byte).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_the_first_release_are_still_read() {
    let service = TestService::new().await;
    let reader: UserId = "0199e5b0-0000-7000-8000-000000000001".parse().expect("an id");
    let mut consent = service.consent_event(reader, true, 1, 0);
    consent.body = decode_hex(include_str!("../golden/consent_changed.v1.hex")).into();
    let mut erased = service.erasure_event(reader, 0);
    erased.body = decode_hex(include_str!("../golden/user_erased.v1.hex")).into();
    service.deliver(vec![consent]).await;
    service
        .deliver(vec![service.reading_with(decode_hex(include_str!("../golden/article_read.v1.hex")))])
        .await;
    assert_eq!(service.labels(reader).await, [("budget".to_owned(), 1), ("tax".to_owned(), 1)]);
    service.deliver(vec![erased]).await;
    assert!(service.labels(reader).await.is_empty());
}
