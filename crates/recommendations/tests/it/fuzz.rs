//! Fuzz targets for messages: one that cannot be read goes to the dead letters, and its neighbours are handled.

use crate::world::World;

#[test]
fn every_message_is_handled_or_given_up_and_none_stays() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let world = runtime.block_on(World::new());
    let reader = crate::world::user(2);
    runtime.block_on(world.hears(vec![world.said(reader, true, 1, 0)]));
    testkit::fuzz!("messages", |input| {
        let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
        let mut message = world.read_message(input.get(end + 1..).unwrap_or_default().to_vec());
        message.kind = String::from_utf8_lossy(&input[..end]).into_owned();
        if message.kind.starts_with("portal.users.") {
            message.key = "users.erased".to_owned();
        }
        runtime.block_on(world.hears(vec![message]));
    });
    for queue in ["recommendations.reading", "recommendations.users"] {
        let given_up = runtime.block_on(world.bus.dead_letters(queue, 1_000)).expect("the bus answers");
        let ours: Vec<_> = given_up.iter().filter(|letter| letter.kind == "internal").collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}
