use std::io::{Read, Write};
use std::net::TcpListener;

use axum::routing::any;

use super::*;

/// Starts a server that sends one response to any request, and then closes.
fn server(response: &'static str) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).expect("the client sends a request");
        stream.write_all(response.as_bytes()).expect("the client reads the response");
    });
    Client::new(&format!("http://{address}/"))
}

const STALE: &str = "HTTP/1.1 412 Precondition Failed\r\ncontent-type: application/problem+json\r\n\
                     etag: \"v8\"\r\ncontent-length: 24\r\n\r\n{\"code\":\"stale_version\"}";

/// Returns a client of a router that sends back the headers and the address of each request.
fn echo() -> Client {
    async fn headers_and_address(request: axum::extract::Request) -> String {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = address.map_or("unknown".to_owned(), |ConnectInfo(address)| address.ip().to_string());
        let lines = request.headers().iter().map(|(name, value)| format!("{name}: {value:?}\n"));
        format!("{}from {address}", lines.collect::<String>())
    }
    Client::in_process(Router::new().fallback(any(headers_and_address)))
}

#[tokio::test]
async fn a_response_has_its_status_headers_and_code() {
    let response = server(STALE).put("/users/v1/1").token("t").send().await;
    let response = response.expect_problem(412, "stale_version");
    assert_eq!(response.header("ETag"), Some("\"v8\""));
    assert_eq!(response.json()["code"], "stale_version");
}

#[tokio::test]
#[should_panic(
    expected = "GET /x returned 412 with the body `{\"code\":\"stale_version\"}`; expected the status 200"
)]
async fn an_unexpected_status_fails_with_the_request_and_the_body() {
    let response = server(STALE).get("/x").send().await;
    let _ = response.expect_status(200);
}

#[tokio::test]
async fn a_connection_that_breaks_gives_no_response() {
    let error = server("").get("/x").try_send().await.expect_err("the server sent nothing");
    assert!(error.to_string().starts_with("no response to GET /x: "), "{error}");
}

#[tokio::test]
async fn a_router_in_this_process_receives_what_a_server_would() {
    let request = echo().post("/x").if_match(7).header("x-a", "1").header("x-a", "2").json(&Value::Null);
    let response = request.from_address([203, 0, 113, 9]).send().await.expect_status(200);
    let expected = "if-match: \"\\\"v7\\\"\"\nx-a: \"1\"\nx-a: \"2\"\n\
                    content-type: \"application/json\"\nfrom 203.0.113.9";
    assert_eq!(response.text(), expected);
}

#[tokio::test]
async fn the_credential_of_a_client_is_on_every_request() {
    let anonymous = echo();
    let text = async |client: Client| client.get("/").send().await.text();
    assert_eq!(text(anonymous.with_token("abc")).await, "authorization: \"Bearer abc\"\nfrom unknown");
    assert_eq!(
        text(anonymous.with_cookie("refresh_token", "r")).await,
        "cookie: \"refresh_token=r\"\nfrom unknown"
    );
    assert_eq!(text(anonymous).await, "from unknown");
}

#[tokio::test]
async fn the_faults_of_a_problem_are_its_pointers_and_codes() {
    let body = r#"{"errors": [{"pointer": "/name", "code": "too_long", "detail": "…"}]}"#;
    let client = Client::in_process(Router::new().fallback(any(move || async move { body })));
    assert_eq!(client.get("/").send().await.faults(), [("/name".to_owned(), "too_long".to_owned())]);
}
