//! The proof of an article's history: what each caller can verify, and what stays hidden.

use std::collections::BTreeSet;

use kernel::{Clock, Kind, Refusal, SystemClock};
use news::{GENESIS, chain_hash};
use prost::Message;
use proto::news::v1::command_request::Action;
use proto::news::v1::*;
use serde_json::Value;

use crate::people::{Person, admin, author, editor, other_author, reader};
use crate::world::{Place, World, fields, on, refusal, refusal_of};

const NOTE: &str = "Who is the source?";

async fn proof(
    world: &World,
    who: Option<&Person>,
    id: &str,
    limit: u32,
    after: Option<u32>,
) -> Result<GetProofReply, Refusal> {
    let request = GetProofRequest { id: id.to_owned(), limit, after, include_records: true };
    let reply = world.call(who.map(Person::token), "GetProof", request).await?;
    Ok(GetProofReply::decode(reply).expect("a reply"))
}

/// Returns an article that was returned, scheduled and corrected on its way. Versions 8 and 9 are public.
async fn a_life(world: &World) -> Article {
    let mut article = world.create(&author(), fields("The budget")).await.expect("a draft");
    let submit = || (author(), Action::Submit(SubmitArticle {}));
    let correct = CorrectArticle { kind: "note".to_owned(), text: "It rained.".to_owned(), patch: None };
    for (who, action) in [
        submit(),
        (editor(), Action::Return(ReturnArticle { note: NOTE.to_owned() })),
        submit(),
        (editor(), Action::Approve(ApproveArticle {})),
        (editor(), Action::Schedule(ScheduleArticle { at_ms: in_an_hour() })),
        (editor(), Action::Unschedule(UnscheduleArticle {})),
        (editor(), Action::Publish(PublishArticle {})),
        (editor(), Action::Correct(correct)),
    ] {
        article = world.command(&who, on(&article, action)).await.expect("a step");
    }
    world.get_since(None, &article).await.expect("it is projected")
}

fn in_an_hour() -> i64 {
    SystemClock.now().millis() + 3_600_000
}

fn versions(links: &[ProofLink], is_shown: impl Fn(&ProofLink) -> bool) -> Vec<u32> {
    links.iter().filter(|link| is_shown(link)).map(|link| link.version).collect()
}

/// Checks that the links are a chain from its beginning, and each record what was hashed.
fn verify(links: &[ProofLink]) {
    let mut before = GENESIS.to_owned();
    for link in links {
        assert_eq!(link.previous.as_ref(), Some(&before));
        before = link.hash.clone().expect("a hash");
        if let Some(record) = &link.record {
            assert_eq!(chain_hash(link.previous.as_deref().expect("a hash"), record), before);
        }
    }
}

#[tokio::test]
async fn readers_verify_public_versions_and_follow_the_chain_through_hidden_ones() {
    let place = Place::new();
    let world = World::start(&place).await;
    let article = a_life(&world).await;
    for who in [None, Some(reader()), Some(other_author())] {
        let GetProofReply { links, next_after } =
            proof(&world, who.as_ref(), &article.id, 100, None).await.expect("a proof");
        assert_eq!(next_after, None);
        verify(&links);
        assert_eq!(versions(&links, |_| true), (1..=9).collect::<Vec<_>>());
        assert_eq!(versions(&links, |link| link.record.is_some()), [8, 9]);
        // Nothing that only staff may see is in a record of a public version.
        for record in links.iter().filter_map(|link| link.record.as_ref()) {
            let record: Value = serde_json::from_str(record).expect("JSON");
            assert_eq!(record["article"]["content"], article.content.as_deref().expect("a text"));
            for hidden in ["review_note", "scheduled_at", "retraction"] {
                assert_eq!(record["article"].get(hidden), None, "{hidden}");
            }
        }
        assert!(!format!("{links:?}").contains(NOTE));
    }
    for who in [author(), editor()] {
        let links = proof(&world, Some(&who), &article.id, 100, None).await.expect("a proof").links;
        verify(&links);
        assert_eq!(versions(&links, |link| link.record.is_some()), (1..=9).collect::<Vec<_>>());
        assert!(links[2].record.as_ref().expect("a record").contains(NOTE));
    }
    world.stop().await;
}

#[tokio::test]
async fn every_record_has_a_nonce_of_its_own() {
    let place = Place::new();
    let world = World::start(&place).await;
    let article = a_life(&world).await;
    let immediate = world.create_published(&admin(), fields("Now")).await.expect("it is public");
    let mut nonces = BTreeSet::new();
    for id in [&article.id, &immediate.id] {
        for link in proof(&world, Some(&editor()), id, 100, None).await.expect("a proof").links {
            let record: Value = serde_json::from_str(&link.record.expect("a record")).expect("JSON");
            nonces.insert(record["nonce"].as_str().expect("a nonce").to_owned());
        }
    }
    assert_eq!(nonces.len(), 9 + 2);
    world.stop().await;
}

#[tokio::test]
async fn pages_of_a_proof_join_without_a_gap() {
    let place = Place::new();
    let world = World::start(&place).await;
    let article = a_life(&world).await;
    let whole = proof(&world, None, &article.id, 100, None).await.expect("a proof").links;
    for limit in 1..=10 {
        let (mut joined, mut after) = (Vec::new(), None);
        loop {
            let page = proof(&world, None, &article.id, limit, after).await.expect("a proof");
            joined.extend(page.links);
            after = page.next_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(joined, whole, "pages of {limit}");
    }
    for limit in [0, 101] {
        let refused = proof(&world, None, &article.id, limit, None).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Invalid, "invalid"));
    }
    world.stop().await;
}

#[tokio::test]
async fn what_readers_do_not_see_has_no_proof_for_them() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("Hidden")).await.expect("a draft");
    let article = a_life(&world).await;
    let refused = proof(&world, None, &draft.id, 10, None).await;
    assert_eq!(refusal_of(refused), refusal(Kind::NotFound, "not_found"));
    let reason = RetractArticle { reason: "It was invented.".to_owned() };
    world.command(&editor(), on(&article, Action::Retract(reason))).await.expect("it is retracted");
    for who in [None, Some(reader())] {
        let refused = proof(&world, who.as_ref(), &article.id, 10, None).await;
        assert_eq!(refusal_of(refused), refusal(Kind::Gone, "retracted"));
    }
    let links = proof(&world, Some(&author()), &article.id, 100, None).await.expect("a proof").links;
    assert_eq!(versions(&links, |link| link.record.is_some()).len(), 10);
    world.stop().await;
}

/// Stores the records of the first versions of an article as an older release did, without a nonce, and
/// chains all of them again.
async fn forget_nonces(place: &Place, id: &str, versions: std::ops::RangeInclusive<u32>) {
    let mut connection = place.connection("sports-news.db").await;
    let article = uuid::Uuid::parse_str(id).expect("an id");
    let records: Vec<(u32, String)> =
        sqlx::query_as("select version, record from events where article = ? order by version")
            .bind(article)
            .fetch_all(&mut connection)
            .await
            .expect("the records");
    let mut before = GENESIS.to_owned();
    for (version, mut record) in records {
        if versions.contains(&version) {
            let nonce = record.rfind(",\"nonce\"").expect("a nonce");
            record.replace_range(nonce..record.len() - 1, "");
        }
        let hash = chain_hash(&before, &record);
        sqlx::query(
            "update events set record = ?, prev_hash = ?, hash = ? where article = ? and version = ?",
        )
        .bind(&record)
        .bind(&before)
        .bind(&hash)
        .bind(article)
        .bind(version)
        .execute(&mut connection)
        .await
        .expect("the record is replaced");
        before = hash;
    }
}

#[tokio::test]
async fn hashes_over_hidden_records_of_an_older_release_are_not_shown_to_readers() {
    let place = Place::new();
    let world = World::start(&place).await;
    let article = a_life(&world).await;
    forget_nonces(&place, &article.id, 1..=9).await;
    let staff = proof(&world, Some(&author()), &article.id, 100, None).await.expect("a proof").links;
    verify(&staff);
    // The public versions 8 and 9 stand on hidden ones without a nonce, wherever the page begins.
    for after in [None, Some(7), Some(8)] {
        let links = proof(&world, None, &article.id, 100, after).await.expect("a proof").links;
        assert_eq!(versions(&links, |link| link.hash.is_some()), [0; 0]);
        let first_of_all = if after.is_none() { vec![1] } else { vec![] };
        assert_eq!(versions(&links, |link| link.previous.is_some()), first_of_all);
        let records = versions(&links, |link| link.record.is_some());
        assert_eq!(records, if after == Some(8) { vec![9] } else { vec![8, 9] });
    }
    // A hidden version of this release separates what comes after it from what came before.
    let hidden = world.unpublish(&editor(), &article).await.expect("it is unpublished");
    let again = world.publish(&editor(), &hidden).await.expect("it is published");
    assert_eq!(again.version, 11);
    for after in [None, Some(9), Some(10)] {
        let links = proof(&world, None, &article.id, 100, after).await.expect("a proof").links;
        let shown = versions(&links, |link| link.hash.is_some());
        assert_eq!(shown, if after == Some(10) { vec![11] } else { vec![10, 11] });
        let last = links.last().expect("a link");
        let (previous, record) = (last.previous.as_deref(), last.record.as_deref());
        let hash = chain_hash(previous.expect("a hash"), record.expect("a record"));
        assert_eq!(last.hash, Some(hash));
    }
    world.stop().await;
}
