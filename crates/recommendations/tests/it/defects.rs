//! Defects of the original that must visibly be gone (product.md §9).

use crate::world::{World, user};

#[tokio::test(flavor = "multi_thread")]
async fn edges_of_the_graph_have_a_weight_a_count_and_a_time() {
    let world = World::new().await;
    let anna = user(1);
    world.hears(vec![world.said(anna, true, 1, 0)]).await;
    world.hears(vec![world.read(anna, 1, 0, &["budget"])]).await;
    let answer = world.admin_gets(&format!("/user/{anna}")).await;
    let edge = answer.body[0].as_object().expect("an edge");
    let names: Vec<&str> = edge.keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "last_read_at", "reads", "weight"]);
    assert_eq!((edge["weight"].as_f64(), edge["reads"].as_u64()), (Some(1.0), Some(1)));
    assert_eq!(edge["last_read_at"], "2026-11-21T08:00:00.000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_readers_id_returns_nobodys_edges_and_no_answer_holds_an_e_mail() {
    let world = World::new().await;
    for number in 1..=3 {
        world.hears(vec![world.said(user(number), true, 1, 0)]).await;
        world.hears(vec![world.read(user(number), 1, 0, &["budget"])]).await;
    }
    let unknown = world.admin_gets(&format!("/user/{}", user(404))).await;
    assert_eq!((unknown.status.as_u16(), unknown.body), (200, serde_json::json!([])));
    let readers = world.admin_gets("/label/budget").await.body;
    let readers = readers.as_array().expect("a bare array");
    assert_eq!(readers.len(), 3);
    for reader in readers {
        let names: Vec<&String> = reader.as_object().expect("a reader").keys().collect();
        assert_eq!(names, ["id"], "ids only");
    }
}
