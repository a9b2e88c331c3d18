//! An account that was erased.

use crate::world::{World, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_reader_is_in_no_list_and_comes_back_by_no_late_message() {
    let world = World::new().await;
    let (anna, ben) = (user(1), user(2));
    world.users.knows(anna, true, 1);
    world.hears(vec![world.said(anna, true, 1, 0), world.said(ben, true, 1, 0)]).await;
    world.hears(vec![world.read(anna, 1, 0, &["budget"]), world.read(ben, 1, 0, &["budget"])]).await;
    let readers = world.admin_gets("/label/budget").await.body;
    assert_eq!(readers.as_array().map(Vec::len), Some(2));

    world.hears(vec![world.erased(anna, 1)]).await;
    let after = async || {
        assert!(world.labels(anna).await.is_empty());
        let readers = world.admin_gets("/label/budget").await.body;
        assert_eq!(readers, serde_json::json!([{ "id": ben }]));
    };
    after().await;
    world.hears(vec![world.said(anna, true, 2, 2), world.read(anna, 2, 2, &["budget"])]).await;
    after().await;
    assert_eq!(world.users.asked(), 0, "an erased reader is nothing to ask about");
}
