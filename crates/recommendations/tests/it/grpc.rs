//! The gRPC service, in process and over the network.

use chassis::transport::refusal_of;
use chassis::{Context, Transport};
use kernel::{Kind, UserId};
use proto::recommendations::v1::recommendations_client::RecommendationsClient;
use proto::recommendations::v1::{GetTasteRequest, Taste};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::service::{DAY, TOKEN, TestService, minute, user};

/// Returns both transports to the service: in process, and over a port.
async fn both_transports(service: &TestService) -> [Transport; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tonic::transport::Server::builder().add_routes(service.grpc.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    drop(chassis::spawn("test.grpc", server.serve_with_incoming(incoming)));
    ["inproc://recommendations", &url].map(|url| {
        let transport = service.surroundings.transport(url).expect("a transport");
        transport.with_token(&TOKEN.to_owned().into())
    })
}

async fn get_taste(transport: &Transport, id: &str, limit: u32) -> Result<Vec<Taste>, Status> {
    let request = GetTasteRequest { user_id: id.to_owned(), limit };
    let answer = RecommendationsClient::new(transport.clone()).get_taste(request).await?;
    Ok(answer.into_inner().tastes)
}

async fn labels(transport: &Transport, reader: UserId, limit: u32) -> Vec<String> {
    let tastes = get_taste(transport, &reader.to_string(), limit).await.expect("an answer");
    tastes.into_iter().map(|taste| taste.label).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_transports_return_a_readers_tastes_heaviest_first_with_weight_count_and_time() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    service
        .deliver(vec![
            service.reading_event(anna, 1, 0, &["budget", "tax"]),
            service.reading_event(anna, 2, 0, &["budget"]),
        ])
        .await;
    service.advance(14 * DAY);
    let at = minute(0).millis();
    let expected = [
        Taste { label: "budget".to_owned(), weight: 1.0, reads: 2, last_read_at_ms: at },
        Taste { label: "tax".to_owned(), weight: 0.5, reads: 1, last_read_at_ms: at },
    ];
    for transport in both_transports(&service).await {
        assert_eq!(get_taste(&transport, &anna.to_string(), 100).await.expect("an answer"), expected);
        assert_eq!(labels(&transport, anna, 1).await, ["budget"]);
        assert_eq!(labels(&transport, user(2), 10).await, Vec::<String>::new(), "an unknown reader");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_consent_or_who_withdrew_it_or_was_erased_has_no_labels() {
    let service = TestService::new().await;
    let (anna, ben, cleo) = (user(1), user(2), user(3));
    for (reader, permits) in [(anna, true), (ben, false), (cleo, true)] {
        service.users.set_consent(reader, permits, 1);
        service
            .deliver(vec![
                service.consent_event(reader, permits, 1, 0),
                service.reading_event(reader, 1, 1, &["budget"]),
            ])
            .await;
    }
    let [transport, _] = both_transports(&service).await;
    assert_eq!(labels(&transport, anna, 10).await, ["budget"]);
    assert_eq!(labels(&transport, ben, 10).await, Vec::<String>::new());
    service.deliver(vec![service.consent_event(anna, false, 2, 2), service.erasure_event(cleo, 2)]).await;
    for reader in [anna, cleo] {
        assert_eq!(labels(&transport, reader, 10).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_id_or_limit_is_refused_over_both_transports() {
    let service = TestService::new().await;
    let anna = user(1).to_string();
    for transport in both_transports(&service).await {
        for (id, limit, pointer) in [("17", 10, "/user_id"), (&anna, 0, "/limit"), (&anna, 101, "/limit")] {
            let status = get_taste(&transport, id, limit).await.expect_err("a refusal");
            assert_eq!(status.code(), Code::InvalidArgument);
            let refusal = refusal_of(&status);
            assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Invalid, "invalid"));
            assert_eq!(refusal.fields[0].pointer, pointer);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_deadline_is_over_is_not_answered() {
    let service = TestService::new().await;
    for transport in both_transports(&service).await {
        let over = Context::for_work("test", std::time::Duration::ZERO);
        let status = over
            .scope(get_taste(&transport, &user(1).to_string(), 10))
            .await
            .expect_err("the deadline is over");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}
