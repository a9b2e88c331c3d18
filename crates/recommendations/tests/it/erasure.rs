//! Erased accounts.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, Envelope, Handler, Subscription};
use kernel::Fault;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

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

/// A subscriber that reports key and subject of each message.
struct Reported(UnboundedSender<(String, String)>);

#[async_trait]
impl Handler for Reported {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        self.0.send((message.key.clone(), message.subject.clone())).expect("the test waits");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_sent_when_nothing_of_the_reader_is_left_in_the_files() {
    let service = TestService::new().await;
    let (sender, mut receipts) = unbounded_channel();
    let all = Subscription::broadcast("test", ["erasures.#"]);
    let consumer = service.bus.subscribe(all, Arc::new(Reported(sender))).await.expect("subscribes");
    chassis::spawn("test.receipts", consumer.run(CancellationToken::new()));
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    service.deliver(vec![service.erasure_event(anna, 1)]).await;
    assert!(receipts.try_recv().is_err(), "the files are not wiped yet");
    let expected = ("erasures.recommendations".to_owned(), anna.to_string());
    for worker in &service.workers {
        worker.step().await.expect("the step is done");
    }
    let arrived = tokio::time::timeout(testkit::PATIENCE, receipts.recv()).await.expect("it arrives");
    assert_eq!(arrived, Some(expected));
}
