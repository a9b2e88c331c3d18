//! A person goes; what they wrote stays, without their name.

use bus::{Envelope, Handler};
use chassis::Surroundings;
use kernel::{Kind, MessageId, Timestamp, Trace};
use news::Erasure;
use prost::Message;
use proto::erasures::v1::ErasureReceipt;
use proto::news::v1::ArticleFields;
use proto::users::v1::UserErased;

use crate::people::{author, editor};
use crate::world::{Place, SECTION, World, fields, refusal, refusal_of, shut};

fn erased(user_id: String) -> Envelope {
    let body = UserErased { user_id: user_id.clone(), at: 1_763_700_000_000 }.encode_to_vec();
    Envelope {
        id: MessageId::new(uuid::Uuid::new_v4()),
        kind: "portal.users.v1.UserErased".to_owned(),
        key: "users.erased".to_owned(),
        source: "users".to_owned(),
        subject: user_id,
        version: 1,
        time: Timestamp::from_millis(1_763_700_000_000),
        trace: Trace::start(),
        body: body.into(),
    }
}

#[tokio::test]
async fn an_erased_person_is_named_nowhere_and_what_they_wrote_stays() {
    let place = Place::new();
    let world = World::start(&place).await;
    let draft = world.create(&author(), fields("My draft")).await.expect("a draft");
    let published = world.published("Mine").await;
    world.deliver(erased(author().id.to_string())).await;
    testkit::wait_until("the article without a byline", testkit::PATIENCE, async || {
        world.get(None, &published.id).await.expect("it is there").author.is_empty().then_some(())
    })
    .await;
    // A token of theirs lives on for some minutes, and writes nothing any more.
    let gone = refusal(Kind::Unauthenticated, "invalid_token");
    assert_eq!(refusal_of(world.create(&author(), fields("Later")).await), gone);
    assert_eq!(refusal_of(world.revise(&author(), &draft, fields("Later")).await), gone);
    // Others go on with what they left behind, and send back what they read.
    let read = ArticleFields { author: Some(String::new()), ..fields("Later") };
    let later = world.revise(&editor(), &draft, read).await.expect("a new version");
    let seen = world.get_since(Some(&editor()), &later).await.expect("it is projected");
    assert_eq!((seen.author.as_str(), seen.title.as_str()), ("", "Later"));
    world.stop().await;

    let app = place.open().await;
    app.replay(|_| ()).await.expect("the view is rebuilt");
    let id = published.id.parse().expect("an id");
    let rebuilt = app.get(None, id, None).await.expect("it is published");
    assert_eq!((rebuilt.byline.as_str(), rebuilt.author), ("", author().id));
    // The history is as provable as before.
    assert_eq!(app.verify(id).await.expect("the chain is whole").versions, 2);
    shut(app).await;
    // `glob` and not `like`, which takes no notice of case: an id in hexadecimal may well have "ada" in it.
    for (name, statement) in [
        ("sports-news.db", "select count(*) from bylines where byline glob '*Ada*'"),
        ("sports-news.db", "select count(*) from events where record glob '*Ada*'"),
        ("sports-news.db", "select count(*) from outbox"),
        ("sports-news-view.db", "select count(*) from articles where byline || document glob '*Ada*'"),
    ] {
        let mut connection = place.connection(name).await;
        let found: i64 =
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it is counted");
        assert_eq!(found, 0, "{statement}");
    }
}

#[tokio::test]
async fn after_an_erasure_another_byline_shows_and_the_name_of_another_person_stays() {
    let place = Place::new();
    let world = World::start(&place).await;
    let by = |name: &str| ArticleFields { author: Some(name.to_owned()), ..fields("A title") };
    let own = world.create(&author(), fields("Under her own name")).await.expect("a draft");
    // Her own name is hers, also if she types it.
    let typed = world.create(&author(), by(" Ada O'Neill")).await.expect("a draft");
    let guest = world.create(&author(), by("Gus Guest")).await.expect("a draft");
    for draft in [&own, &typed, &guest] {
        world.get_since(Some(&editor()), draft).await.expect("it is projected");
    }
    world.deliver(erased(author().id.to_string())).await;
    for hers in [&own, &typed] {
        testkit::wait_until("the article without a byline", testkit::PATIENCE, async || {
            let seen = world.get(Some(&editor()), &hers.id).await.expect("it is there");
            seen.author.is_empty().then_some(())
        })
        .await;
    }
    assert_eq!(world.get(Some(&editor()), &guest.id).await.expect("it is there").author, "Gus Guest");
    let later = world.revise(&editor(), &own, by("Newsroom")).await.expect("a new version");
    assert_eq!(later.author, "Newsroom");
    assert_eq!(world.get_since(Some(&editor()), &later).await.expect("it is projected").author, "Newsroom");
    world.stop().await;

    let app = place.open().await;
    app.replay(|_| ()).await.expect("the view is rebuilt");
    for (article, byline) in [(&own, "Newsroom"), (&typed, ""), (&guest, "Gus Guest")] {
        let id = article.id.parse().expect("an id");
        let rebuilt = app.get(Some(&editor().identity()), id, None).await.expect("it is there");
        assert_eq!(rebuilt.byline.as_str(), byline);
    }
    shut(app).await;
}

/// Subscribes to receipts, and returns what arrives as user and routing key.
async fn receipts_of(world: &World) -> tokio::sync::mpsc::UnboundedReceiver<(String, String)> {
    struct Reported(tokio::sync::mpsc::UnboundedSender<(String, String)>);

    #[async_trait::async_trait]
    impl Handler for Reported {
        async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn kernel::Fault>> {
            let receipt = ErasureReceipt::decode(message.body.clone()).expect("a receipt");
            assert_eq!(
                (receipt.service.as_str(), receipt.user_id.as_str()),
                ("sports-news", message.subject.as_str())
            );
            self.0.send((receipt.user_id, message.key.clone())).expect("the test waits");
            Ok(())
        }
    }

    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let all = bus::Subscription::broadcast("test", ["erasures.#"]);
    let consumer = world.bus.subscribe(all, std::sync::Arc::new(Reported(sender))).await.expect("subscribes");
    chassis::spawn("test.receipts", consumer.run(tokio_util::sync::CancellationToken::new()));
    receiver
}

#[tokio::test]
async fn a_receipt_is_sent_for_an_author_when_the_files_are_wiped_and_for_a_reader_immediately() {
    let place = Place::new();
    let world = World::start(&place).await;
    let mut receipts = receipts_of(&world).await;
    world.published("Mine").await;
    let reader = "0190163d-8694-739b-aea5-966c26f8ad91".to_owned();
    for person in [author().id.to_string(), reader.clone()] {
        world.deliver(erased(person.clone())).await;
        let arrived = tokio::time::timeout(testkit::PATIENCE, receipts.recv()).await.expect("it arrives");
        assert_eq!(arrived, Some((person, "erasures.sports-news".to_owned())));
    }
    // The duty is gone only after the receipt, and the name is in no file then.
    testkit::wait_until("the duty to be done", testkit::PATIENCE, async || {
        (place.count("select count(*) from erasure_duty").await == 0).then_some(())
    })
    .await;
    world.stop().await;
    let bytes = std::fs::read(place.file("sports-news.db")).expect("the file is there");
    assert!(!String::from_utf8_lossy(&bytes).contains("Ada O'Neill"));
}

#[tokio::test]
async fn an_erasure_may_come_twice_and_one_without_an_account_goes_to_the_dead_letters() {
    let place = Place::new();
    World::start(&place).await.stop().await;
    let app = place.open().await;
    let surroundings = Surroundings::one_process();
    let url = format!("local:{}", place.file("bus.db").display());
    let bus = bus::open(&url, &surroundings).await.expect("the bus opens").bus;
    let receipts = news::make_receipts(SECTION, &surroundings);
    let erasure = Erasure::new(app.clone(), app.0.erasures.clone(), bus, receipts);
    for _ in 0..2 {
        erasure.handle(&erased(author().id.to_string())).await.expect("it has its effect");
    }
    let refused =
        erasure.handle(&erased("no account".to_owned())).await.expect_err("there is no account to erase");
    assert_eq!((refused.kind(), refused.code().as_str()), (Kind::Invalid, "unreadable_message"));
    assert!(!refused.kind().is_transient());
    shut(app).await;
}
