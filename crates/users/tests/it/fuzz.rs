//! Fuzz targets for gRPC: every frame of another service is answered with a status that blames the caller.

use axum::body::Body;
use http_body_util::BodyExt;
use tonic::Code;
use tower::ServiceExt;

use crate::people::{TOKEN, Users};

#[test]
fn every_frame_is_answered_or_refused_for_its_content() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let users = runtime.block_on(Users::new());
    let routes = users.service.grpc.clone().expect("it has gRPC").into_axum_router();
    testkit::fuzz!("frames", |input| {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let method = String::from_utf8_lossy(&input[..end]);
        let body = Body::from(input.get(end + 1..).unwrap_or_default().to_vec());
        let request = http::Request::post(format!("/portal.users.v1.Users/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {TOKEN}"));
        let Ok(request) = request.body(body) else { return };
        let code = runtime.block_on(async {
            let response = routes.clone().oneshot(request).await.expect("routers always answer");
            let (parts, body) = response.into_parts();
            let trailers = body.collect().await.expect("a body").trailers().cloned().unwrap_or_default();
            let status = parts.headers.get("grpc-status").or_else(|| trailers.get("grpc-status")).cloned();
            status.map(|status| Code::from_bytes(status.as_bytes()))
        });
        let code = code.expect("every answer has a status");
        // tonic answers Internal for a frame that it can't decode, as gRPC's table of statuses requires.
        assert!(!matches!(code, Code::Unknown | Code::DataLoss | Code::Unavailable), "{code:?}");
    });
}
