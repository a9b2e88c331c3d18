//! At least once, in any order: the end is the same.

use bus::Envelope;
use kernel::UserId;
use serde_json::Value;

use crate::world::{MINUTE, World, user};

/// What happens to a reader; they withdraw and consent again, and are erased or not.
fn story(world: &World, of: UserId, erased: bool) -> Vec<Envelope> {
    let mut facts =
        vec![world.said(of, true, 1, 0), world.said(of, false, 2, 100), world.said(of, true, 3, 200)];
    for minutes in (1..400_i64).step_by(13) {
        let article = 1 + u128::from(minutes.unsigned_abs() % 3);
        let labels: &[&str] = if minutes % 2 == 0 { &["budget", "tax"] } else { &["budget"] };
        // While they refuse, nothing is read that would be told.
        if !(100..200).contains(&minutes) {
            facts.push(world.read(of, article, minutes, labels));
        }
    }
    facts.extend(erased.then(|| world.erased(of, 500)));
    facts
}

/// Everything that the service tells, of four readers of whom one is erased.
async fn told(world: &World) -> Vec<Value> {
    let mut answers = Vec::new();
    for number in 1..=4 {
        answers.push(world.admin_gets(&format!("/user/{}", user(number))).await.body);
    }
    for label in ["budget", "tax"] {
        let mut readers = world.admin_gets(&format!("/label/{label}")).await.body;
        readers.as_array_mut().expect("a list").sort_by_key(Value::to_string);
        answers.push(readers);
    }
    answers
}

/// A world at minute 600, in which users knows how it ended; and what happened.
async fn world_and_facts() -> (World, Vec<Envelope>) {
    let world = World::new().await;
    world.later(MINUTE * 600);
    let facts = (1..=4).flat_map(|number| story(&world, user(number), number == 4)).collect();
    (1..=3).for_each(|number| world.users.knows(user(number), true, 3));
    (world, facts)
}

fn shuffled(mut messages: Vec<Envelope>, seed: u64) -> Vec<Envelope> {
    use rand::seq::SliceRandom;
    messages.shuffle(&mut testkit::random(seed));
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_and_tripled_deliveries_of_reads_consent_and_erasure_end_the_same() {
    let (orderly, facts) = world_and_facts().await;
    for fact in facts {
        orderly.hears(vec![fact]).await;
    }
    let expected = told(&orderly).await;
    assert_eq!(expected[0], expected[1]);
    assert_eq!(expected[3], serde_json::json!([]));
    assert_eq!(expected[4].as_array().map(Vec::len), Some(3));
    for seed in 1..=5 {
        let (chaotic, facts) = world_and_facts().await;
        let thrice = facts.iter().cycle().take(facts.len() * 3).cloned().collect();
        chaotic.hears(shuffled(thrice, seed)).await;
        assert_eq!(told(&chaotic).await, expected, "seed {seed}");
        assert_eq!(chaotic.depth().await, (0, 0));
    }
}
