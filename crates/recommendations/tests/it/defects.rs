//! Defects of the original portal that must not come back (product.md §9).

use crate::service::{TestService, user};

#[tokio::test(flavor = "multi_thread")]
async fn edges_of_the_graph_have_a_weight_a_count_and_a_time() {
    let service = TestService::new().await;
    let anna = user(1);
    service.deliver(vec![service.consent_event(anna, true, 1, 0)]).await;
    service.deliver(vec![service.reading_event(anna, 1, 0, &["budget"])]).await;
    let answer = service.get_as_admin(&format!("/user/{anna}")).await;
    let edge = answer.body[0].as_object().expect("an edge");
    let names: Vec<&str> = edge.keys().map(String::as_str).collect();
    assert_eq!(names, ["id", "last_read_at", "reads", "weight"]);
    assert_eq!((edge["weight"].as_f64(), edge["reads"].as_u64()), (Some(1.0), Some(1)));
    assert_eq!(edge["last_read_at"], "2026-11-21T08:00:00.000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_an_unknown_reader_returns_no_edges_and_no_answer_contains_an_e_mail() {
    let service = TestService::new().await;
    for number in 1..=3 {
        service.deliver(vec![service.consent_event(user(number), true, 1, 0)]).await;
        service.deliver(vec![service.reading_event(user(number), 1, 0, &["budget"])]).await;
    }
    let unknown = service.get_as_admin(&format!("/user/{}", user(404))).await;
    assert_eq!((unknown.status.as_u16(), unknown.body), (200, serde_json::json!([])));
    let readers = service.get_as_admin("/label/budget").await.body;
    let readers = readers.as_array().expect("a bare array");
    assert_eq!(readers.len(), 3);
    for reader in readers {
        let names: Vec<&String> = reader.as_object().expect("a reader").keys().collect();
        assert_eq!(names, ["id"], "ids only");
    }
}
