use proto::users::v1;
use proto::users::v1::users_client::UsersClient;
use serde_json::json;
use tonic::Code;

use crate::people::Users;

fn client(users: &Users) -> UsersClient<chassis::Transport> {
    UsersClient::new(users.surroundings.transport("inproc://users").expect("a transport"))
}

#[tokio::test]
async fn other_services_see_id_name_and_role() {
    let users = Users::new().await;
    let bob = users.with_role("bob@example.org", "author").await;
    let answer = client(&users).get_user(v1::GetUserRequest { id: bob.id.clone() }).await.expect("is found");
    let wanted = v1::User { id: bob.id, name: "Reader".to_owned(), role: v1::Role::Author.into() };
    assert_eq!(answer.into_inner().user, Some(wanted));
}

#[tokio::test]
async fn several_are_asked_for_at_once_in_their_order_settled_or_not() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    users.settle().await;
    let bob = users.reader("bob@example.org").await;
    let ids = vec![bob.id.clone(), "01901640-0000-7000-8000-000000000000".to_owned(), ann.id.clone()];
    let answer = client(&users).get_users(v1::GetUsersRequest { ids }).await.expect("is answered");
    let ids: Vec<String> = answer.into_inner().users.into_iter().map(|user| user.id).collect();
    assert_eq!(ids, [bob.id, ann.id]);
}

#[tokio::test]
async fn more_than_100_ids_and_what_is_no_id_are_invalid_and_nobody_is_not_found() {
    let users = Users::new().await;
    let id = "01901640-0000-7000-8000-000000000000".to_owned();
    let mut client = client(&users);
    let many = |count| v1::GetUsersRequest { ids: vec![id.clone(); count] };
    assert!(client.get_users(many(100)).await.is_ok());
    let code = |outcome: Result<_, tonic::Status>| outcome.map(|_| ()).expect_err("is refused").code();
    assert_eq!(code(client.get_users(many(101)).await.map(drop)), Code::InvalidArgument);
    let bad = v1::GetUserRequest { id: "17".to_owned() };
    assert_eq!(code(client.get_user(bad).await.map(drop)), Code::InvalidArgument);
    assert_eq!(code(client.get_user(v1::GetUserRequest { id: id.clone() }).await.map(drop)), Code::NotFound);
    assert_eq!(code(client.get_consent(v1::GetConsentRequest { id }).await.map(drop)), Code::NotFound);
}

#[tokio::test]
async fn consent_is_told_with_its_version() {
    let users = Users::new().await;
    let ann = users.reader("ann@example.org").await;
    let mut client = client(&users);
    let mut consent = async || {
        let answer =
            client.get_consent(v1::GetConsentRequest { id: ann.id.clone() }).await.expect("is answered");
        answer.into_inner()
    };
    assert_eq!(
        consent().await,
        v1::GetConsentResponse { personalisation: false, history: false, version: 0 }
    );
    let on = json!({"personalisation": false, "history": true});
    users.ask("PUT", &format!("/{}/consent", ann.id)).by(&ann).json(&on).send().await.is(200);
    assert_eq!(consent().await, v1::GetConsentResponse { personalisation: false, history: true, version: 1 });
}
