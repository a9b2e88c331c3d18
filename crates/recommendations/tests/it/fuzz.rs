//! The fuzz targets for what comes over the bus. An unreadable message goes to the dead letters, an
//! unreadable call is refused, and neither is a fault of the service.

use bus::{Bus, Call};
use bytes::Bytes;
use kernel::{Kind, Role};

use crate::service::TestService;

#[test]
fn every_message_is_handled_or_becomes_a_dead_letter() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let service = runtime.block_on(TestService::new());
    let reader = crate::service::user(2);
    runtime.block_on(service.deliver(vec![service.consent_event(reader, true, 1, 0)]));
    testkit::fuzz!("messages", |input| {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let mut message = service.reading_with(input.get(end + 1..).unwrap_or_default().to_vec());
        message.kind = String::from_utf8_lossy(&input[..end]).into_owned();
        if message.kind.starts_with("portal.users.") {
            message.key = "users.erased".to_owned();
        }
        runtime.block_on(service.deliver(vec![message]));
    });
    for queue in ["recommendations.reading", "recommendations.users"] {
        let letters = runtime.block_on(service.bus.dead_letters(queue, 1_000)).expect("the bus answers");
        let ours: Vec<_> = letters.iter().filter(|letter| letter.kind == "internal").collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}

#[test]
fn every_call_is_answered_or_refused_for_what_it_asks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let service = runtime.block_on(TestService::new());
    let token = service.token(crate::service::user(2), Role::Reader);
    testkit::fuzz!("calls", |input| {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let method = String::from_utf8_lossy(&input[..end]).into_owned();
        let body = Bytes::copy_from_slice(input.get(end + 1..).unwrap_or_default());
        let call = Call { method: method.clone(), body, token: Some(token.clone()), idempotency_key: None };
        if let Err(refusal) = runtime.block_on(service.bus.call("exports.recommendations", call)) {
            assert_ne!(refusal.kind, Kind::Internal, "{method}: {refusal:?}");
        }
    });
}
