//! Erased accounts.

use crate::service::{TestService, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_reader_is_in_no_list_and_late_messages_do_not_bring_them_back() {
    let service = TestService::new().await;
    let (anna, ben) = (user(1), user(2));
    service.users.set_consent(anna, true, 1);
    service
        .deliver(vec![service.consent_event(anna, true, 1, 0), service.consent_event(ben, true, 1, 0)])
        .await;
    service
        .deliver(vec![
            service.reading_event(anna, 1, 0, &["budget"]),
            service.reading_event(ben, 1, 0, &["budget"]),
        ])
        .await;
    let readers = service.get_as_admin("/label/budget").await.body;
    assert_eq!(readers.as_array().map(Vec::len), Some(2));

    service.deliver(vec![service.erasure_event(anna, 1)]).await;
    let after = async || {
        assert!(service.labels(anna).await.is_empty());
        let readers = service.get_as_admin("/label/budget").await.body;
        assert_eq!(readers, serde_json::json!([{ "id": ben }]));
    };
    after().await;
    service
        .deliver(vec![
            service.consent_event(anna, true, 2, 2),
            service.reading_event(anna, 2, 2, &["budget"]),
        ])
        .await;
    after().await;
    assert_eq!(service.users.calls(), 0, "users is not called about an erased reader");
}
