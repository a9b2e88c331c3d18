use kernel::Kind;

use super::{Fixture, bodies, consume, message, refusal, respond_with, text};
use crate::Envelope;

const PERSON: &str = "0190b2c4-0000-7000-8000-00000000000a";

pub(super) async fn forgetting_a_person_removes_the_dead_letters_that_name_them_and_no_others(
    fixture: impl Fixture,
) {
    let bus = fixture.bus().await;
    let (handler, mut received) = respond_with(|_| Err(refusal(Kind::Invalid)));
    let running = consume(&bus, "test.one", handler).await;
    let about = format!("by {PERSON}, called Rumpelstiltskin");
    let fate = Envelope { subject: PERSON.to_owned(), ..message("test.erased", PERSON) };
    let sent = [
        message("test.happened", "before"),
        message("test.happened", &about),
        fate,
        message("test.happened", "by 0190b2c4-0000-7000-8000-00000000000b"),
    ];
    bus.publish(sent.to_vec()).await.expect("the bus confirms");
    bodies(&mut received, 4).await;
    running.stop().await;
    for _ in 0..2 {
        assert!(bus.forget(PERSON).await.expect("the bus answers"));
        let left: Vec<String> =
            fixture.dead_letters("test.one").await.iter().map(|letter| text(&letter.message)).collect();
        assert_eq!(left, ["before", PERSON, "by 0190b2c4-0000-7000-8000-00000000000b"]);
    }
}
