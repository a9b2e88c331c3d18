//! The cases of the event store about the newsroom: the schedule and the public corrections.

use std::time::Duration;

use kernel::{ArticleId, Identity, Role, Sections, SessionId, Timestamp};
use uuid::Uuid;

use super::Fixture;
use super::sample::{at, author, drafted, id, revised};
use crate::domain::{
    Action, Article, ArticleCorrection, Change, CorrectionFilter, CorrectionInput, CorrectionKind,
    CorrectionPart, CorrectionPosition, Standing, StoryPatch, Transition,
};

/// Returns a step without more than a state.
fn step(article: &Article, transition: Transition) -> Change {
    let later = article.updated_at.plus(Duration::from_millis(3));
    article.step(transition, Standing::Reviewer, author(), later).expect("a legal transition")
}

fn scheduled(number: u128, due: Timestamp) -> Change {
    let mut change = step(&drafted(number).article, Transition::Schedule);
    change.article.scheduled_at = Some(due);
    change
}

async fn schedule(given: &Fixture, limit: u32) -> Vec<(ArticleId, Timestamp)> {
    given.store.scheduled(limit).await.expect("the schedule is read")
}

pub(super) async fn scheduled_articles_come_in_the_order_of_their_times(given: Fixture) {
    let times = [(1, at(5_000)), (2, at(3_000)), (3, at(4_000)), (4, at(3_000))];
    let mut articles = Vec::new();
    for (number, due) in times {
        given.append(&drafted(number)).await;
        let change = scheduled(number, due);
        given.append(&change).await;
        articles.push(change.article);
    }
    let expected = [(id(2), at(3_000)), (id(4), at(3_000)), (id(3), at(4_000)), (id(1), at(5_000))];
    assert_eq!(schedule(&given, 10).await, expected);
    assert_eq!(schedule(&given, 2).await, expected[..2]);
    // A revision leaves the time as it is. The other commands remove the article from the schedule.
    given.append(&revised(&articles[2], "Revised")).await;
    let unscheduled = step(&articles[3], Transition::Unschedule);
    given.append(&unscheduled).await;
    given.append(&articles[1].publish_scheduled(at(3_001)).expect("a legal transition")).await;
    assert_eq!(schedule(&given, 10).await, expected[2..]);
    let mut again = step(&unscheduled.article, Transition::Schedule);
    again.article.scheduled_at = Some(at(4_500));
    given.append(&again).await;
    let expected = [(id(3), at(4_000)), (id(4), at(4_500)), (id(1), at(5_000))];
    assert_eq!(schedule(&given, 10).await, expected);
}

/// Returns the article after a correction at this millisecond.
fn corrected(article: &Article, kind: CorrectionKind, millis: i64) -> Change {
    let patch = StoryPatch { title: Some(format!("Title at {millis}")), ..StoryPatch::default() };
    let text = format!("It's \"{millis}\" \u{1f5de}");
    let action = Action::Correct(CorrectionInput { kind: kind.to_string(), text, patch });
    let editor = Identity {
        user: author(),
        name: "Ada O'Neill".to_owned(),
        role: Role::Admin,
        sections: Sections::All,
        history: false,
        session: SessionId::new(Uuid::nil()),
    };
    let change = action.apply(article, None, &editor, Standing::Reviewer, at(millis));
    change.expect("a legal correction").expect("a change")
}

/// Returns the entry of the last correction of an article.
fn entry(article: &Article) -> ArticleCorrection {
    let correction = article.corrections.last().expect("a correction").clone();
    let (title, slug) = (article.story.title.clone(), article.slug.clone());
    ArticleCorrection { article: article.id, title, slug, correction }
}

async fn corrections(given: &Fixture, part: CorrectionPart) -> Vec<ArticleCorrection> {
    given.store.corrections(&part).await.expect("the corrections are read")
}

fn newest(filter: CorrectionFilter) -> CorrectionPart {
    CorrectionPart { filter, after: None, limit: 100 }
}

/// Publishes an article, and corrects it at these milliseconds. Returns its newest version.
async fn corrected_at(given: &Fixture, number: u128, corrections: &[(CorrectionKind, i64)]) -> Article {
    let draft = drafted(number);
    given.append(&draft).await;
    let published = draft.article.publish(author(), at(1)).expect("a legal transition");
    given.append(&published).await;
    let mut article = published.article;
    for (kind, millis) in corrections {
        let change = corrected(&article, *kind, *millis);
        given.append(&change).await;
        article = change.article;
    }
    article
}

pub(super) async fn corrections_are_listed_as_long_as_their_article_is_public(given: Fixture) {
    let first = corrected_at(&given, 1, &[(CorrectionKind::Correction, 10)]).await;
    let second = corrected_at(&given, 2, &[(CorrectionKind::Note, 20)]).await;
    let all = newest(CorrectionFilter::default());
    assert_eq!(corrections(&given, all).await, [entry(&second), entry(&first)]);
    let notes = CorrectionFilter { kind: Some(CorrectionKind::Note), ..CorrectionFilter::default() };
    assert_eq!(corrections(&given, newest(notes)).await, [entry(&second)]);
    for (from, to, expected) in [
        (Some(at(11)), None, vec![entry(&second)]),
        (Some(at(10)), Some(at(19)), vec![entry(&first)]),
        (Some(at(11)), Some(at(19)), vec![]),
    ] {
        let between = CorrectionFilter { kind: None, from, to };
        assert_eq!(corrections(&given, newest(between)).await, expected);
    }
    // The list shows the title that readers see now.
    let retitled = revised(&first, "A new title");
    given.append(&retitled).await;
    assert_eq!(corrections(&given, all).await[1].title, "A new title");
    let retracted = step(&retitled.article, Transition::Retract);
    given.append(&retracted).await;
    given.append(&second.unpublish(author(), at(30)).expect("a legal transition")).await;
    assert_eq!(corrections(&given, all).await, []);
    let reinstated = step(&retracted.article, Transition::Reinstate);
    given.append(&reinstated).await;
    assert_eq!(corrections(&given, all).await, [entry(&reinstated.article)]);
}

pub(super) async fn pages_of_corrections_join_without_a_gap(given: Fixture) {
    use CorrectionKind::{Clarification, Correction, Note, Update};
    corrected_at(&given, 1, &[(Correction, 10), (Note, 20), (Note, 20), (Update, 30)]).await;
    corrected_at(&given, 2, &[(Clarification, 20), (Update, 40)]).await;
    let all = corrections(&given, newest(CorrectionFilter::default())).await;
    let order: Vec<_> = all.iter().map(|each| (each.article, each.correction.version.number())).collect();
    assert_eq!(order, [(id(2), 4), (id(1), 6), (id(2), 3), (id(1), 5), (id(1), 4), (id(1), 3)]);
    for limit in 1..=7 {
        let mut joined: Vec<ArticleCorrection> = Vec::new();
        loop {
            let after = joined.last().map(|last| CorrectionPosition {
                at: last.correction.at,
                article: last.article,
                version: last.correction.version,
            });
            let part = CorrectionPart { filter: CorrectionFilter::default(), after, limit };
            let page = corrections(&given, part).await;
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        assert_eq!(joined, all, "pages of {limit}");
    }
}
