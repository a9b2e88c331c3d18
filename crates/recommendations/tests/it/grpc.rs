//! What other services ask, in process and over the network.

use chassis::transport::refusal_of;
use chassis::{Context, Transport};
use kernel::{Kind, UserId};
use proto::recommendations::v1::recommendations_client::RecommendationsClient;
use proto::recommendations::v1::{GetTasteRequest, Taste};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::world::{DAY, TOKEN, World, minute, user};

/// The ways to the service: in its own process, and on a port as in a process of its own.
async fn both_ways(world: &World) -> [Transport; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tonic::transport::Server::builder().add_routes(world.grpc.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    drop(chassis::spawn("test.grpc", server.serve_with_incoming(incoming)));
    ["inproc://recommendations", &url].map(|url| {
        let way = world.surroundings.transport(url).expect("a transport");
        way.with_token(&TOKEN.to_owned().into())
    })
}

async fn ask(way: &Transport, id: &str, limit: u32) -> Result<Vec<Taste>, Status> {
    let request = GetTasteRequest { user_id: id.to_owned(), limit };
    let answer = RecommendationsClient::new(way.clone()).get_taste(request).await?;
    Ok(answer.into_inner().tastes)
}

async fn labels(way: &Transport, reader: UserId, limit: u32) -> Vec<String> {
    let tastes = ask(way, &reader.to_string(), limit).await.expect("is answered");
    tastes.into_iter().map(|taste| taste.label).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readers_taste_is_told_heaviest_first_with_weight_count_and_time_both_ways() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    world.hears(vec![world.read(anna, 1, 0, &["budget", "tax"]), world.read(anna, 2, 0, &["budget"])]).await;
    world.later(14 * DAY);
    let at = minute(0).millis();
    let expected = [
        Taste { label: "budget".to_owned(), weight: 1.0, reads: 2, last_read_at_ms: at },
        Taste { label: "tax".to_owned(), weight: 0.5, reads: 1, last_read_at_ms: at },
    ];
    for way in both_ways(&world).await {
        assert_eq!(ask(&way, &anna.to_string(), 100).await.expect("is answered"), expected);
        assert_eq!(labels(&way, anna, 1).await, ["budget"]);
        assert_eq!(labels(&way, user(2), 10).await, Vec::<String>::new(), "nobody knows them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_consent_took_it_back_or_was_erased_likes_nothing() {
    let world = World::new().await;
    let (anna, ben, cleo) = (user(1), user(2), user(3));
    for (reader, permits) in [(anna, true), (ben, false), (cleo, true)] {
        world.users.knows(reader, permits, 1);
        world.hears(vec![world.said(reader, permits, 1, 0), world.read(reader, 1, 1, &["budget"])]).await;
    }
    let [way, _] = both_ways(&world).await;
    assert_eq!(labels(&way, anna, 10).await, ["budget"]);
    assert_eq!(labels(&way, ben, 10).await, Vec::<String>::new());
    world.hears(vec![world.said(anna, false, 2, 2), world.erased(cleo, 2)]).await;
    for reader in [anna, cleo] {
        assert_eq!(labels(&way, reader, 10).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_id_or_no_limit_is_invalid_both_ways() {
    let world = World::new().await;
    let anna = user(1).to_string();
    for way in both_ways(&world).await {
        for (id, limit, pointer) in [("17", 10, "/user_id"), (&anna, 0, "/limit"), (&anna, 101, "/limit")] {
            let status = ask(&way, id, limit).await.expect_err("is refused");
            assert_eq!(status.code(), Code::InvalidArgument);
            let refusal = refusal_of(&status);
            assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Invalid, "invalid"));
            assert_eq!(refusal.fields[0].pointer, pointer);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_time_is_over_is_not_answered() {
    let world = World::new().await;
    for way in both_ways(&world).await {
        let over = Context::for_work("test", std::time::Duration::ZERO);
        let status = over.scope(ask(&way, &user(1).to_string(), 10)).await.expect_err("is late");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}
