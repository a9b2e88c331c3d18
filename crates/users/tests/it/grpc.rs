use std::time::Duration;

use chassis::Context;
use proto::users::v1 as messages;
use proto::users::v1::users_client::UsersClient;
use serde_json::json;
use tonic::Code;

use crate::people::{CONSENT_ONLY, TOKEN, Users};

fn client(users: &Users) -> UsersClient<chassis::Transport> {
    UsersClient::new(users.surroundings.transport("inproc://users").expect("a transport"))
}

#[tokio::test]
async fn other_services_see_id_name_and_role() {
    let users = Users::new().await;
    let bob = users.with_role("bob@example.org", "author").await;
    let answer =
        client(&users).get_user(messages::GetUserRequest { id: bob.id.clone() }).await.expect("is found");
    let expected =
        messages::User { id: bob.id, name: "Reader".to_owned(), role: messages::Role::Author.into() };
    assert_eq!(answer.into_inner().user, Some(expected));
}

#[tokio::test]
async fn several_accounts_are_returned_in_the_requested_order_settled_or_not() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.settle().await;
    let bob = users.register("Bob", "bob@example.org").await.is(201).json["id"].clone();
    let bob = bob.as_str().expect("an id").to_owned();
    let ids = vec![bob.clone(), "01901640-0000-7000-8000-000000000000".to_owned(), ann.id.clone()];
    let answer = client(&users).get_users(messages::GetUsersRequest { ids }).await.expect("is answered");
    let ids: Vec<String> = answer.into_inner().users.into_iter().map(|user| user.id).collect();
    assert_eq!(ids, [bob, ann.id]);
}

#[tokio::test]
async fn more_than_100_ids_and_malformed_ids_are_invalid_and_an_unknown_id_is_not_found() {
    let users = Users::new().await;
    let id = "01901640-0000-7000-8000-000000000000".to_owned();
    let mut client = client(&users);
    let many = |count| messages::GetUsersRequest { ids: vec![id.clone(); count] };
    assert!(client.get_users(many(100)).await.is_ok());
    let code = |outcome: Result<_, tonic::Status>| outcome.map(|_| ()).expect_err("is refused").code();
    assert_eq!(code(client.get_users(many(101)).await.map(drop)), Code::InvalidArgument);
    let bad = messages::GetUserRequest { id: "17".to_owned() };
    assert_eq!(code(client.get_user(bad).await.map(drop)), Code::InvalidArgument);
    assert_eq!(
        code(client.get_user(messages::GetUserRequest { id: id.clone() }).await.map(drop)),
        Code::NotFound
    );
    assert_eq!(code(client.get_consent(messages::GetConsentRequest { id }).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn consent_is_returned_with_its_version() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let mut client = client(&users);
    let mut consent = async || {
        let answer = client
            .get_consent(messages::GetConsentRequest { id: ann.id.clone() })
            .await
            .expect("is answered");
        answer.into_inner()
    };
    assert_eq!(
        consent().await,
        messages::GetConsentResponse { personalisation: false, history: false, version: 0 }
    );
    let on = json!({"personalisation": false, "history": true});
    users.ask("PUT", &format!("/{}/consent", ann.id)).by(&ann).json(&on).send().await.is(200);
    assert_eq!(
        consent().await,
        messages::GetConsentResponse { personalisation: false, history: true, version: 1 }
    );
}

/// Serves the service's gRPC on a port, as in a process of its own, and returns its address.
async fn over_the_network(users: &Users) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let routes = users.service.grpc.clone().expect("it has gRPC");
    let server = tonic::transport::Server::builder().add_routes(routes);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    drop(chassis::spawn("test.grpc", server.serve_with_incoming(incoming)));
    format!("http://{address}")
}

#[tokio::test]
async fn a_call_over_the_network_gets_the_same_answer_as_in_one_process() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let near = client(&users);
    let far = users.surroundings.transport(&over_the_network(&users).await).expect("a transport");
    let far = far.with_token(&TOKEN.to_owned().into());
    for mut client in [near, UsersClient::new(far)] {
        let ids = messages::GetUsersRequest { ids: vec![ann.id.clone()] };
        let found = client.get_users(ids).await.expect("is answered").into_inner().users;
        assert_eq!((found.len(), found[0].name.as_str()), (1, "Reader"));
        let consent = client
            .get_consent(messages::GetConsentRequest { id: ann.id.clone() })
            .await
            .expect("is answered");
        assert_eq!(
            consent.into_inner(),
            messages::GetConsentResponse { personalisation: false, history: false, version: 0 }
        );
        let unknown = messages::GetUserRequest { id: "01901640-0000-7000-8000-000000000000".to_owned() };
        let status = client.get_user(unknown).await.expect_err("is unknown");
        assert_eq!(chassis::transport::refusal_of(&status).code.as_str(), "not_found");
    }
}

#[tokio::test]
async fn over_the_network_a_caller_needs_a_token_and_may_call_the_granted_methods_only() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let url = over_the_network(&users).await;
    let with = |token: &str| {
        let transport = users.surroundings.transport(&url).expect("a transport");
        UsersClient::new(transport.with_token(&token.to_owned().into()))
    };
    let consent = messages::GetConsentRequest { id: ann.id.clone() };
    let names = messages::GetUserRequest { id: ann.id.clone() };
    assert!(with(CONSENT_ONLY).get_consent(consent.clone()).await.is_ok());
    let refused = with(CONSENT_ONLY).get_user(names.clone()).await.expect_err("is not granted");
    assert_eq!(refused.code(), Code::PermissionDenied);
    for wrong in ["", "0123456789abcdef0123456789abcdef", &TOKEN.to_uppercase()] {
        assert_eq!(
            with(wrong).get_consent(consent.clone()).await.expect_err(wrong).code(),
            Code::Unauthenticated
        );
        assert_eq!(with(wrong).get_user(names.clone()).await.expect_err(wrong).code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn over_the_network_a_call_ends_at_its_deadline_and_without_a_server_immediately() {
    let users = Users::new().await;
    // A server that accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    for (url, expected) in [(url.as_str(), Code::DeadlineExceeded), ("http://127.0.0.1:1", Code::Unavailable)]
    {
        let mut client = UsersClient::new(users.surroundings.transport(url).expect("a transport"));
        let request = messages::GetUserRequest { id: "01901640-0000-7000-8000-000000000000".to_owned() };
        let context = Context::for_work(
            "test",
            Duration::from_millis(if expected == Code::Unavailable { 5000 } else { 50 }),
        );
        let status = context.scope(client.get_user(request)).await.expect_err("no server answers");
        assert_eq!(status.code(), expected, "{status}");
    }
}

#[tokio::test]
async fn a_look_at_labels_is_recorded_with_a_part_of_the_address() {
    let users = Users::new().await;
    let (ann, admin) = (users.reader("ann@example.org").await, users.admin().await);
    let view = |reader_id: &str, address: &str| messages::RecordLabelsViewRequest {
        reader_id: reader_id.to_owned(),
        admin_id: admin.id.clone(),
        address: address.to_owned(),
    };
    let mut client = client(&users);
    client.record_labels_view(view(&ann.id, "2001:db8:1:2::3")).await.expect("is recorded");
    for bad in [view("17", "192.0.2.1"), view(&ann.id, "somewhere")] {
        let refused = client.record_labels_view(bad).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let audit = users.ask("GET", &format!("/{}/audit?limit=1", ann.id)).by(&ann).send().await.is(200).json;
    let entry = &audit["entries"][0];
    assert_eq!((&entry["kind"], &entry["actor"]), (&json!("labels_viewed"), &json!(admin.id)));
    assert_eq!(entry["address"], "2001:db8:1::/48");
}
