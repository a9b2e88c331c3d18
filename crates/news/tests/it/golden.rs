//! The golden files of stored events and sent messages. Every form that was ever written is in
//! `tests/golden`, and this code reads it. A test compares and never writes: a new form gets new files, and
//! old files are never edited.

use kernel::{ArticleId, MessageId, Section, Timestamp, Trace, UserId, Version};
use news::{
    Article, Byline, BylineColumns, Change, Correction, CorrectionKind, Event, GENESIS, NewDraft, Retraction,
    Slug, Standing, State, Story, StoryInput, Transition, article_of_event, chain_hash, event_message,
    read_event, write_event,
};
use serde_json::{Value, json};
use uuid::Uuid;

const BYLINE: &str = "Ada O'Neill";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Names the golden files of some events in one folder: the stored text and the sent message of each.
macro_rules! golden {
    ($folder:literal: $($event:ident $name:literal,)*) => {
        [$((
            Event::$event,
            include_str!(concat!("../golden/", $folder, "event-1-", $name, ".json")),
            include_str!(concat!("../golden/", $folder, "message-", $name, ".txt")),
        ),)*]
    };
}

/// The files of today. Articles know when what readers read was last changed.
const GOLDEN: [(Event, &str, &str); Event::ALL.len()] = golden! { "revised/":
    Drafted "drafted",
    Edited "edited",
    Submitted "submitted",
    Returned "returned",
    Approved "approved",
    Scheduled "scheduled",
    Unscheduled "unscheduled",
    Published "published",
    Updated "updated",
    Corrected "corrected",
    Deleted "deleted",
    Unpublished "unpublished",
    Retracted "retracted",
    Reinstated "reinstated",
    Undeleted "undeleted",
    Restored "restored",
};

/// The files of the second form. Articles know since when they are in their state.
const SECOND: [(Event, &str, &str); Event::ALL.len()] = golden! { "newsroom/":
    Drafted "drafted",
    Edited "edited",
    Submitted "submitted",
    Returned "returned",
    Approved "approved",
    Scheduled "scheduled",
    Unscheduled "unscheduled",
    Published "published",
    Updated "updated",
    Corrected "corrected",
    Deleted "deleted",
    Unpublished "unpublished",
    Retracted "retracted",
    Reinstated "reinstated",
    Undeleted "undeleted",
    Restored "restored",
};

/// The files of the first release.
const FIRST: [(Event, &str, &str); 8] = golden! { "":
    Drafted "drafted",
    Edited "edited",
    Published "published",
    Updated "updated",
    Deleted "deleted",
    Unpublished "unpublished",
    Undeleted "undeleted",
    Restored "restored",
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_712_000_123 + seconds * 1_000)
}

fn story(title: &str) -> Story {
    Story::parse(StoryInput {
        title: title.to_owned(),
        description: Some("In two lines,\nfor lists".to_owned()),
        content: "It's \"quoted\" – 50 % \\ \u{202b}שלום\u{202c} 🗞️\r\n\t<b>bold</b>".to_owned(),
        tags: vec!["budget".to_owned(), "o'neill".to_owned()],
        lang: Some("en".to_owned()),
        image: Some("https://example.org/a.jpg".to_owned()),
        region: Some("GB".to_owned()),
        byline: None,
    })
    .expect("a valid story")
}

fn author() -> UserId {
    UserId::new(Uuid::from_u128(0x0193_4d00_0000_7000_8000_0000_0000_00ad))
}

fn editor() -> UserId {
    UserId::new(Uuid::from_u128(0x0193_4d00_0000_7000_8000_0000_0000_00ed))
}

/// Returns the step after `before`, by the editor, this many seconds after the first one.
fn step(before: &Change, transition: Transition, seconds: i64) -> Change {
    let step = before.article.step(transition, Standing::Reviewer, editor(), at(seconds));
    step.expect("a legal step")
}

/// One change of each kind, always the same, in the order of the events.
fn changes() -> Vec<Change> {
    let by = editor();
    let byline = || Byline::of(BYLINE, author());
    let drafted = Article::draft(NewDraft {
        id: ArticleId::new(Uuid::from_u128(0x0193_4d00_0000_7000_8000_0000_0000_0001)),
        section: Section::Politics,
        slug: Slug::stored("the-budget-passes".to_owned()),
        story: story("The budget passes"),
        byline: byline(),
        author: author(),
        at: at(0),
    });
    let plain = Story {
        description: None,
        lang: None,
        image: None,
        region: None,
        tags: Vec::new(),
        ..story("Shorter")
    };
    let edited = drafted.article.revise(plain, byline(), by, at(60)).expect("a legal step");
    let [submitted, returned, approved, scheduled, unscheduled] = reviewed(&edited);
    let published = edited.article.publish(by, at(120)).expect("a legal step");
    let updated = published.article.revise(story("The budget passes"), byline(), by, at(180));
    let mut updated = updated.expect("a legal step");
    updated.article.corrections = vec![Correction {
        kind: CorrectionKind::Correction,
        text: "It was Tuesday, not Monday.".to_owned(),
        at: at(170),
        version: Version::new(4),
    }];
    let [corrected, retracted, reinstated] = corrected(&updated);
    let deleted = edited.article.delete(by, at(240)).expect("a legal step");
    let unpublished = updated.article.unpublish(by, at(300)).expect("a legal step");
    let undeleted = deleted.article.undelete(edited.article.state, by, at(360)).expect("a legal step");
    let restored = unpublished.article.restore(&drafted.article, by, at(420)).expect("a legal step");
    vec![
        drafted,
        edited,
        submitted,
        returned,
        approved,
        scheduled,
        unscheduled,
        published,
        updated,
        corrected,
        deleted,
        unpublished,
        retracted,
        reinstated,
        undeleted,
        restored,
    ]
}

fn reviewed(draft: &Change) -> [Change; 5] {
    let submitted = step(draft, Transition::Submit, 70);
    let mut returned = step(&submitted, Transition::Return, 80);
    returned.article.review_note = Some("Who said so? \u{202b}שלום\u{202c}".to_owned());
    let approved = step(&submitted, Transition::Approve, 90);
    let mut scheduled = step(&approved, Transition::Schedule, 100);
    scheduled.article.scheduled_at = Some(at(3_600));
    let unscheduled = step(&scheduled, Transition::Unschedule, 110);
    [submitted, returned, approved, scheduled, unscheduled]
}

fn corrected(published: &Change) -> [Change; 3] {
    let mut corrected = step(published, Transition::Correct, 190);
    corrected.article.corrections.push(Correction {
        kind: CorrectionKind::Clarification,
        text: "In the afternoon.".to_owned(),
        at: at(190),
        version: corrected.article.version,
    });
    let mut retracted = step(&corrected, Transition::Retract, 310);
    retracted.article.retraction = Some(Retraction { reason: "It was invented.".to_owned(), at: at(310) });
    let reinstated = step(&retracted, Transition::Reinstate, 320);
    [corrected, retracted, reinstated]
}

/// Returns the change of this kind as the second form has it: without the time of the text.
fn second_form(event: Event) -> Change {
    let mut change = changes().into_iter().find(|change| change.event == event).expect("a change");
    change.article.revised_at = change.article.updated_at;
    change
}

/// Returns the change of this kind as the first release wrote it: without the times of the state and of the
/// text.
fn first_form(event: Event) -> Change {
    let mut change = second_form(event);
    change.article.state_since = change.article.updated_at;
    change
}

/// A message as text: its attributes, then its body in hexadecimal digits, sixteen bytes a line.
fn shown(change: &Change) -> String {
    let id = MessageId::new(Uuid::from_u128(0x0193_4d00_0000_7000_8000_0000_0000_0e0e));
    let message = event_message(change, id, TRACE.parse::<Trace>().expect("a trace"));
    let mut text = format!(
        "id {}\nkind {}\nkey {}\nsource {}\nsubject {}\nversion {}\ntime {}\ntrace {}\n\n",
        message.id,
        message.kind,
        message.key,
        message.source,
        message.subject,
        message.version,
        message.time,
        message.trace
    );
    for line in message.body.chunks(16) {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&digits.join(" "));
        text.push('\n');
    }
    text
}

fn body(golden: &str) -> Vec<u8> {
    let (_, digits) = golden.split_once("\n\n").expect("attributes, then the body");
    digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

#[test]
fn every_event_is_written_as_its_golden_file_says() {
    assert_eq!(GOLDEN.map(|(event, ..)| event), Event::ALL);
    for (change, (event, stored, _)) in changes().iter().zip(GOLDEN) {
        assert_eq!(change.event, event);
        assert_eq!(write_event(change).expect("it is written"), stored.trim_end(), "{event}");
    }
}

#[test]
fn every_event_that_was_ever_stored_is_read_by_todays_code() {
    let read = |stored: &str| read_event(stored.trim_end(), BylineColumns::new(BYLINE.to_owned(), None));
    for (change, (event, stored, _)) in changes().into_iter().zip(GOLDEN) {
        assert_eq!(read(stored).expect("it is readable"), change, "{event}");
    }
    for (event, stored, _) in SECOND {
        assert_eq!(read(stored).expect("it is readable"), second_form(event), "{event}");
    }
    for (event, stored, _) in FIRST {
        assert_eq!(read(stored).expect("it is readable"), first_form(event), "{event}");
    }
}

/// Returns the changes of the test vector of `docs/proof`: two versions that readers saw, and two that they
/// did not. Each has a nonce, as every record has since readers can verify the chain.
fn vector() -> Vec<Change> {
    let drafted = changes().swap_remove(0);
    let published = drafted.article.publish(editor(), at(120)).expect("a legal step");
    let unpublished = step(&published, Transition::Unpublish, 240);
    let again = unpublished.article.publish(editor(), at(300)).expect("a legal step");
    let with_nonce = |(number, change): (u128, Change)| Change {
        nonce: Some(Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000 + number)),
        ..change
    };
    (1..).zip([drafted, published, unpublished, again]).map(with_nonce).collect()
}

#[test]
fn the_test_vector_of_the_documentation_is_what_this_program_writes_and_reads() {
    let mut before = GENESIS.to_owned();
    let mut links = Vec::new();
    for change in vector() {
        let record = write_event(&change).expect("it is written");
        let read = read_event(&record, BylineColumns::new(BYLINE.to_owned(), None));
        assert_eq!(read.expect("it is readable"), change);
        let hash = chain_hash(&before, &record);
        let mut link = json!({"version": change.article.version, "hash": hash, "previous": before});
        if change.article.state == State::Published {
            link["record"] = record.into();
        }
        links.push(link);
        before = hash;
    }
    let answer = json!({"status": "success", "proof": links, "page": {"limit": 20, "next_cursor": null}});
    let vector = include_str!("../../../../docs/proof/vector.json");
    let vector: Value = serde_json::from_str(vector).expect("JSON");
    assert_eq!(vector, answer, "{answer:#}");
}

#[test]
fn every_message_is_sent_as_its_golden_file_says() {
    for (change, (event, _, sent)) in changes().iter().zip(GOLDEN) {
        assert_eq!(shown(change), sent, "{event}");
    }
}

#[test]
fn every_message_that_was_ever_sent_is_read_by_todays_code() {
    for (change, (event, _, sent)) in changes().into_iter().zip(GOLDEN) {
        assert_eq!(article_of_event(&body(sent)).expect("it is readable"), change.article, "{event}");
    }
    for (event, _, sent) in SECOND {
        let article = article_of_event(&body(sent)).expect("it is readable");
        assert_eq!(article, second_form(event).article, "{event}");
    }
    for (event, _, sent) in FIRST {
        let article = article_of_event(&body(sent)).expect("it is readable");
        assert_eq!(article, first_form(event).article, "{event}");
    }
}

#[test]
fn a_record_of_a_newer_program_is_refused_by_its_form_and_not_guessed_at() {
    let newer = GOLDEN[0].1.replacen("\"form\":1", "\"form\":2", 1);
    let refused = read_event(newer.trim_end(), BylineColumns::default()).expect_err("it is of form 2");
    assert_eq!(refused.to_string(), "the record has form 2, which this program does not know");
}
