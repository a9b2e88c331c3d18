use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{ArticleId, MatchedLabel, Section, match_key};

use super::Article;

/// The most top stories.
pub const TOP: usize = 5;
/// The most articles of a section's block.
pub const BLOCK: usize = 6;
/// The most articles that follow a reader's labels.
pub const FOR_YOU: usize = 8;

/// Each top story of a section sets the section's next one back by so much.
const SECTION_STEP: Duration = Duration::from_secs(6 * 60 * 60);
/// An article that fits a reader twice as well may be so much older.
const TWICE_AS_MUCH: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Each article that was chosen for a label sets the label's next one back by so much.
const LABEL_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a reader likes a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Taste {
    /// The label, as authors wrote it.
    pub label: MatchedLabel,
    /// How much: more than 0, finite.
    pub weight: f64,
    /// How often they read about it.
    pub reads: u32,
}

/// The newest of one section.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The section.
    pub section: Section,
    /// Newest first.
    pub articles: Vec<Article>,
}

/// What everybody sees on the front page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Front {
    /// The top stories, the first of them first.
    pub top: Vec<Article>,
    /// A block for each section that answered, in the order of [`Section::ALL`].
    pub blocks: Vec<Block>,
}

/// An article for one reader, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The article.
    pub article: Article,
    /// Of all that the reader likes and the article is about, what they like most.
    pub because: Taste,
}

impl Front {
    /// Puts the front page together from the newest articles of each section.
    ///
    /// The **top stories** are the newest of all, but no section may fill them alone: each story that is taken sets the next one of
    /// its section back by six hours. Only differences of time decide, so the same articles give the same page at any moment,
    /// until there is news.
    ///
    /// A **block** leaves the top stories out where its section has enough others to fill it; a smaller section shows all of its own.
    pub fn of(newest: Vec<(Section, Vec<Article>)>) -> Self {
        let all = newest.iter().flat_map(|(section, articles)| {
            articles.iter().map(|article| Candidate { at: published(article), group: *section, article })
        });
        let top = line_up(all.collect(), SECTION_STEP, TOP);
        let top: Vec<Article> = top.into_iter().map(|candidate| candidate.article.clone()).collect();
        let blocks = newest.into_iter().map(|(section, articles)| block(section, articles, &top)).collect();
        Self { top, blocks }
    }
}

fn block(section: Section, mut articles: Vec<Article>, top: &[Article]) -> Block {
    articles.sort_by(Article::newest_first);
    let is_top = |article: &Article| top.iter().any(|story| story.id == article.id);
    let others = articles.iter().filter(|article| !is_top(article)).count();
    if others >= BLOCK {
        articles.retain(|article| !is_top(article));
    }
    articles.truncate(BLOCK);
    Block { section, articles }
}

/// What follows a reader's labels, of `articles` in any order and repeated or not.
///
/// An article **fits** by the sum of the weights of those of its labels that the reader likes; one that fits twice as well may be two
/// days older. Each that is taken sets the next one for the same label back by a day, so that one label does not fill the list. As
/// all weights fade alike, this order too changes only with news and with what the reader reads.
pub fn for_you(articles: Vec<Article>, tastes: &[Taste]) -> Vec<Suggestion> {
    let articles: BTreeMap<ArticleId, Article> =
        articles.into_iter().map(|article| (article.id, article)).collect();
    let candidates = articles.values().filter_map(|article| {
        let labels: Vec<String> = article.tags.iter().map(|tag| match_key(tag)).collect();
        let liked = |taste: &&Taste| labels.iter().any(|label| label == taste.label.key());
        let fits: f64 = tastes.iter().filter(liked).map(|taste| taste.weight).sum();
        let most = tastes.iter().filter(liked).max_by(|one, other| {
            one.weight.total_cmp(&other.weight).then_with(|| other.label.cmp(&one.label))
        })?;
        Some(Candidate {
            at: published(article).saturating_add(head_start(fits)),
            group: &most.label,
            article,
        })
    });
    let chosen = line_up(candidates.collect(), LABEL_STEP, FOR_YOU);
    chosen
        .into_iter()
        .filter_map(|Candidate { group, article, .. }| {
            let because = tastes.iter().find(|taste| taste.label == *group)?.clone();
            Some(Suggestion { article: article.clone(), because })
        })
        .collect()
}

/// In milliseconds; negative for what fits less than one fresh reading weighs.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "days in milliseconds; a cast saturates"
)]
fn head_start(fits: f64) -> i64 {
    (fits.log2() * TWICE_AS_MUCH.as_millis() as f64).round() as i64
}

fn published(article: &Article) -> i64 {
    article.published_at.map_or(0, kernel::Timestamp::millis)
}

/// An article in a line: where it stands, and together with whom it must not take all places.
struct Candidate<'a, G> {
    /// In milliseconds.
    at: i64,
    group: G,
    article: &'a Article,
}

/// The `most` latest of `candidates`, where each that is taken sets the rest of its group back by `step`. Of two at one moment the
/// one comes first that is first in every list.
fn line_up<G: PartialEq + Copy>(
    mut candidates: Vec<Candidate<'_, G>>,
    step: Duration,
    most: usize,
) -> Vec<Candidate<'_, G>> {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let mut taken: Vec<Candidate<'_, G>> = Vec::new();
    candidates.sort_by(|one, other| one.article.newest_first(other.article));
    while taken.len() < most && !candidates.is_empty() {
        let before = |group: G| taken.iter().filter(|one| one.group == group).count();
        let place = |one: &Candidate<'_, G>| {
            let behind = i64::try_from(before(one.group)).unwrap_or(i64::MAX).saturating_mul(step);
            one.at.saturating_sub(behind)
        };
        // The first of the greatest: `min_by_key` keeps the first of equals.
        let next = (0..candidates.len()).min_by_key(|index| Reverse(place(&candidates[*index])));
        let Some(next) = next else { break };
        taken.push(candidates.remove(next));
    }
    taken
}

#[cfg(test)]
mod tests {
    use kernel::{Label, Timestamp};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const HOUR: i64 = 60 * 60 * 1000;

    fn article(section: Section, number: u128, hours: i64) -> Article {
        let id = ArticleId::new(Uuid::from_u128(number << 8 | section as u128));
        Article::sample(section, id, Timestamp::from_millis(1_790_000_000_000 + hours * HOUR))
    }

    fn about(number: u128, hours: i64, tags: &[&str]) -> Article {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Article { tags, ..article(Section::Sports, number, hours) }
    }

    fn taste(label: &str, weight: f64) -> Taste {
        Taste { label: Label::parse(label).expect("a label").into(), weight, reads: 3 }
    }

    fn numbers<'a>(articles: impl IntoIterator<Item = &'a Article>) -> Vec<u128> {
        articles.into_iter().map(|article| article.id.uuid().as_u128() >> 8).collect()
    }

    fn because(suggestions: &[Suggestion]) -> Vec<(u128, &str)> {
        let told = |one: &'_ Suggestion| numbers([&one.article])[0];
        suggestions.iter().map(|one| (told(one), one.because.label.typed().as_str())).collect()
    }

    #[test]
    fn the_newest_of_all_leads_and_no_section_fills_the_top_alone() {
        use Section::{Famous, Politics, Sports};
        // Ten goals within the hour; elsewhere it was a quiet day.
        let sports = (0..10).map(|n| article(Sports, n, 100)).collect();
        let politics = vec![article(Politics, 20, 95), article(Politics, 21, 60)];
        let famous = vec![article(Famous, 30, 87)];
        let front = Front::of(vec![(Famous, famous), (Politics, politics), (Sports, sports)]);
        // At 100; 95 against 94; then 94, 88; 87 against 82.
        assert_eq!(numbers(&front.top), [9, 20, 8, 7, 30]);
    }

    #[test]
    fn a_block_leaves_top_stories_out_where_it_has_enough_others() {
        use Section::{Famous, Sports};
        let large: Vec<_> = (0..20).map(|n| article(Sports, n, i64::try_from(n).expect("small"))).collect();
        let small = vec![article(Famous, 30, 19), article(Famous, 31, 2)];
        let front = Front::of(vec![(Famous, small), (Sports, large)]);
        assert_eq!(numbers(&front.top), [30, 19, 18, 17, 16]);
        assert_eq!(front.blocks[0].section, Famous);
        assert_eq!(numbers(&front.blocks[0].articles), [30, 31], "a small section shows all of its own");
        assert_eq!(numbers(&front.blocks[1].articles), [15, 14, 13, 12, 11, 10]);
    }

    #[test]
    fn a_portal_without_news_has_an_empty_front_page_with_every_section() {
        let front = Front::of(Section::ALL.map(|section| (section, Vec::new())).into());
        assert_eq!((front.top.len(), front.blocks.len()), (0, 3));
    }

    #[test]
    fn what_a_reader_likes_twice_as_much_may_be_two_days_older() {
        let tastes = [taste("budget", 2.0), taste("tennis", 1.0)];
        let articles = |hours| vec![about(1, 100, &["tennis"]), about(2, hours, &["budget"])];
        assert_eq!(because(&for_you(articles(53), &tastes)), [(2, "budget"), (1, "tennis")]);
        assert_eq!(because(&for_you(articles(51), &tastes)), [(1, "tennis"), (2, "budget")]);
    }

    #[test]
    fn what_nobody_asked_for_is_left_out_and_nothing_comes_twice() {
        let tastes = [taste("budget", 2.0), taste("tax", 0.5)];
        let both = about(1, 100, &["tax", "budget"]);
        let articles = vec![both.clone(), about(2, 200, &["golf"]), both, about(3, 90, &["tax"])];
        assert_eq!(because(&for_you(articles, &tastes)), [(1, "budget"), (3, "tax")]);
        assert_eq!(for_you(vec![about(1, 1, &["budget"])], &[]), []);
    }

    #[test]
    fn one_label_does_not_fill_the_list() {
        let tastes = [taste("budget", 4.0), taste("tennis", 1.0)];
        let mut articles: Vec<_> = (1..=20).map(|number| about(number, 100, &["budget"])).collect();
        articles.push(about(30, 100, &["tennis"]));
        let chosen = for_you(articles, &tastes);
        assert_eq!(chosen.len(), FOR_YOU);
        // Four times the weight is four days; after four of them, and at the moment of the fifth by its number, tennis is due.
        assert_eq!(because(&chosen)[4], (30, "tennis"));
    }

    proptest! {
        #[test]
        fn the_page_follows_from_the_articles_and_not_from_their_order(
            moments in prop::collection::vec((0usize..3, 0i64..50), 0..60),
            seed in any::<u64>(),
        ) {
            let page = |order: &[(usize, (usize, i64))]| {
                let of = |section: Section| {
                    let own = order.iter().filter(|(_, (at, _))| *at == section as usize);
                    own.map(|(number, (_, hours))| article(section, *number as u128, *hours)).collect::<Vec<_>>()
                };
                Front::of(Section::ALL.map(|section| (section, of(section))).into())
            };
            let order: Vec<_> = moments.into_iter().enumerate().collect();
            let mut shuffled = order.clone();
            shuffled.sort_by_key(|(number, _)| (*number as u64).wrapping_mul(seed | 1).rotate_left(17));
            let front = page(&order);
            prop_assert_eq!(&front, &page(&shuffled));
            prop_assert_eq!(front.top.len(), order.len().min(TOP));
            let newest = order.iter().map(|(_, (_, hours))| *hours).max();
            let first = front.top.first().map(|story| published(story) / HOUR);
            prop_assert_eq!(first, newest.map(|hours| (1_790_000_000_000 + hours * HOUR) / HOUR));
        }
    }
}
