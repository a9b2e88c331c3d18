//! Lists: the articles that each caller sees, and the requests that are possible.

use kernel::{Kind, Section};
use proto::news::v1::{
    ArticleFields, GetArticlesRequest, ListArticlesReply, ListArticlesRequest, ListOrder, ListPosition,
};

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, fields, refusal, refusal_of};

async fn titles(world: &World, who: Option<&Person>, states: &[&str], by: Option<&Person>) -> Vec<String> {
    let states = states.iter().map(|&state| state.to_owned()).collect();
    let author_id = by.map(|person| person.id.to_string());
    let request = ListArticlesRequest { limit: 50, states, author_id, ..ListArticlesRequest::default() };
    let reply = world.list_as(who, request).await.expect("a list");
    let mut titles: Vec<String> = reply.articles.into_iter().map(|article| article.title).collect();
    assert_eq!(reply.total, titles.len() as u64);
    titles.sort();
    titles
}

async fn drafted(world: &World, who: &Person, title: &str) -> proto::news::v1::Article {
    let draft = world.create(who, fields(title)).await.expect("a draft");
    world.get_since(Some(who), &draft).await.expect("it is projected")
}

#[tokio::test]
async fn authors_list_their_own_editors_their_section_and_readers_what_is_published() {
    let place = Place::new();
    let world = World::start(&place).await;
    world.published("Public").await;
    let own = drafted(&world, &author(), "Own draft").await;
    let others = drafted(&world, &other_author(), "Another's draft").await;
    let all = ["draft", "published"];
    let elsewhere = editor().only_in(Section::Politics);
    for who in [None, Some(&reader()), Some(&elsewhere)] {
        assert_eq!(titles(&world, who, &all, None).await, ["Public"]);
        assert!(titles(&world, who, &["draft"], None).await.is_empty());
    }
    assert_eq!(titles(&world, Some(&author()), &all, None).await, ["Own draft", "Public"]);
    assert_eq!(titles(&world, Some(&author()), &["draft"], None).await, ["Own draft"]);
    assert!(titles(&world, Some(&author()), &["draft"], Some(&other_author())).await.is_empty());
    for who in [editor(), admin()] {
        let drafts = titles(&world, Some(&who), &["draft"], None).await;
        assert_eq!(drafts, ["Another's draft", "Own draft"]);
        assert_eq!(titles(&world, Some(&who), &["draft"], Some(&other_author())).await, ["Another's draft"]);
    }
    // The same articles by their ids.
    let ids = vec![own.id, others.id];
    for (who, seen) in [(author(), 1), (editor(), 2), (reader(), 0)] {
        let states = vec!["draft".to_owned()];
        let request =
            GetArticlesRequest { ids: ids.clone(), states, without_content: true, sizes_only: false };
        let reply = world.call(Some(who.token()), "GetArticles", request).await.expect("a reply");
        let reply: ListArticlesReply = prost::Message::decode(reply).expect("a list");
        assert_eq!(reply.articles.len(), seen);
        assert!(reply.articles.iter().all(|article| article.content.is_none()));
    }
    world.stop().await;
}

#[tokio::test]
async fn what_was_put_away_is_listed_for_editors_who_may_bring_it_back() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = drafted(&world, &author(), "Put away").await;
    world.delete(&editor(), &draft).await.expect("it is put away");
    until_projected(&world).await;
    assert_eq!(titles(&world, Some(&editor()), &["deleted"], None).await, ["Put away"]);
    for who in [None, Some(&author()), Some(&reader())] {
        assert!(titles(&world, who, &["deleted"], None).await.is_empty());
    }
    world.stop().await;
}

/// Waits until the article is deleted in the view. No caller may read it then, so no caller can wait for the
/// version.
async fn until_projected(world: &World) {
    while titles(world, Some(&editor()), &["deleted"], None).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_list_goes_on_after_a_place_and_back_before_it_also_as_places_alone() {
    let place = Place::new();
    let world = World::start(&place).await;
    for title in ["One", "Two", "Three"] {
        world.published(title).await;
    }
    let keys = ListArticlesRequest { limit: 10, keys_only: true, ..ListArticlesRequest::default() };
    let all = world.list_as(None, keys.clone()).await.expect("places");
    assert_eq!((all.keys.len(), all.articles.len(), all.total), (3, 0, 3));
    let at = |place: &ListPosition| Some(place.clone());
    let after = ListArticlesRequest { after: at(&all.keys[0]), ..keys.clone() };
    assert_eq!(world.list_as(None, after).await.expect("places").keys, all.keys[1..]);
    let before = ListArticlesRequest { before: at(&all.keys[2]), limit: 1, ..keys.clone() };
    assert_eq!(world.list_as(None, before).await.expect("places").keys, all.keys[1..2]);
    let both = ListArticlesRequest { before: at(&all.keys[2]), after: at(&all.keys[0]), ..keys };
    assert_eq!(refusal_of(world.list_as(None, both).await), refusal(Kind::Malformed, "malformed_call"));
    world.stop().await;
}

#[tokio::test]
async fn a_state_that_there_is_not_is_named() {
    let place = Place::new();
    let world = World::start(&place).await;
    let states = vec!["draft".to_owned(), "printed".to_owned()];
    let request = ListArticlesRequest { limit: 1, states, ..ListArticlesRequest::default() };
    let refusal = world.list_as(Some(&editor()), request).await.expect_err("it is refused");
    assert_eq!((refusal.kind, refusal.fields[0].pointer.as_str()), (Kind::Invalid, "/state"));
    world.stop().await;
}

#[tokio::test]
async fn no_reply_holds_more_text_than_a_page_and_each_holds_at_least_one() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        let long = ArticleFields { content: "ü".repeat(250_000), ..fields(&format!("Long {number}")) };
        let draft = world.create(&author(), long).await.expect("a draft");
        let published = world.publish(&editor(), &draft).await.expect("it is published");
        ids.push(world.get_since(None, &published).await.expect("it is projected").id);
    }
    let named = GetArticlesRequest { ids: ids.clone(), ..GetArticlesRequest::default() };
    let picked = |request| async {
        let reply = world.call(None, "GetArticles", request).await.expect("a reply");
        <ListArticlesReply as prost::Message>::decode(reply).expect("a list")
    };
    let of = |reply: &ListArticlesReply| -> Vec<String> {
        assert!(
            reply
                .articles
                .iter()
                .all(|article| article.content.as_ref().is_some_and(|text| text.len() == 500_000))
        );
        reply.articles.iter().map(|article| article.id.clone()).collect()
    };
    let reply = picked(named.clone()).await;
    assert_eq!((of(&reply), reply.cut), (ids[..4].to_vec(), true));
    let reply = picked(GetArticlesRequest { ids: ids[4..].to_vec(), ..named.clone() }).await;
    assert_eq!((of(&reply), reply.cut), (ids[4..].to_vec(), false));
    let reply = picked(GetArticlesRequest { sizes_only: true, ..named }).await;
    assert!(reply.articles.is_empty() && reply.sizes.iter().all(|size| size.bytes == 500_000));
    assert_eq!(reply.sizes.len(), 6);
    // The same of a part of the list, from either side.
    let part = ListArticlesRequest {
        limit: 100,
        include_content: true,
        order: ListOrder::Oldest.into(),
        ..ListArticlesRequest::default()
    };
    let whole = ListArticlesRequest { include_content: false, keys_only: true, ..part.clone() };
    let places = world.list_as(None, whole).await.expect("places").keys;
    let ordered: Vec<String> = places.iter().map(|place| place.id.clone()).collect();
    let reply = world.list_as(None, part.clone()).await.expect("a list");
    assert_eq!((of(&reply), reply.cut, reply.total), (ordered[..4].to_vec(), true, 6));
    let before = ListArticlesRequest { before: places.last().cloned(), ..part };
    let reply = world.list_as(None, before).await.expect("a list");
    assert_eq!((of(&reply), reply.cut), (ordered[1..5].to_vec(), true));
    world.stop().await;
}
