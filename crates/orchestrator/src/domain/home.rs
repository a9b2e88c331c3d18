use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use kernel::{ArticleId, MatchedLabel, Section, match_key};

use super::Article;

/// The largest number of top stories.
pub const MAX_TOP: usize = 5;
/// The largest number of articles in a section's block.
pub const MAX_BLOCK: usize = 6;
/// The largest number of suggestions for a reader.
pub const MAX_FOR_YOU: usize = 8;

/// The time by which each top story of a section moves the section's next one back.
const SECTION_STEP: Duration = Duration::from_secs(6 * 60 * 60);
/// The time by which an article that fits a reader twice as well may be older.
const DOUBLE_FIT_BONUS: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The time by which each chosen article of a label moves the label's next one back.
const LABEL_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// A label that a reader likes.
#[derive(Debug, Clone, PartialEq)]
pub struct Taste {
    /// The label, as authors wrote it.
    pub label: MatchedLabel,
    /// The weight: finite and greater than 0.
    pub weight: f64,
    /// The number of readings that counted.
    pub reads: u32,
}

/// The newest articles of one section.
#[derive(Debug, Clone, PartialEq)]
pub struct SectionBlock {
    /// The section.
    pub section: Section,
    /// The articles, newest first.
    pub articles: Vec<Article>,
}

/// The part of the front page that is the same for everyone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrontPage {
    /// The top stories, in order.
    pub top: Vec<Article>,
    /// A block for each section that answered, in the order of [`Section::ALL`].
    pub blocks: Vec<SectionBlock>,
}

/// An article that is suggested to a reader, with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The article.
    pub article: Article,
    /// Of the article's labels, the one that the reader likes most.
    pub reason: Taste,
}

impl FrontPage {
    /// Composes the front page from the newest articles of each section.
    ///
    /// The **top stories** are the newest of all, but no section may fill them alone: each story that is
    /// chosen moves the next one of its section back by six hours. Only differences of time decide, so the
    /// same articles give the same page at any moment, until there is news.
    ///
    /// A **block** leaves the top stories out if its section has enough others to fill it. A smaller section
    /// shows all of its own.
    pub fn compose(newest: Vec<(Section, Vec<Article>)>) -> Self {
        let all = newest.iter().flat_map(|(section, articles)| {
            articles.iter().map(|article| Candidate { at: published_at(article), group: *section, article })
        });
        let top = choose_latest(all.collect(), SECTION_STEP, MAX_TOP);
        let top: Vec<Article> = top.into_iter().map(|candidate| candidate.article.clone()).collect();
        let blocks = newest.into_iter().map(|(section, articles)| block(section, articles, &top)).collect();
        Self { top, blocks }
    }
}

fn block(section: Section, mut articles: Vec<Article>, top: &[Article]) -> SectionBlock {
    articles.sort_by(Article::newest_first);
    let is_top = |article: &Article| top.iter().any(|story| story.id == article.id);
    let others = articles.iter().filter(|article| !is_top(article)).count();
    if others >= MAX_BLOCK {
        articles.retain(|article| !is_top(article));
    }
    articles.truncate(MAX_BLOCK);
    SectionBlock { section, articles }
}

/// Chooses the suggestions for a reader from `articles`, which may be in any order and contain repetitions.
///
/// The **fit** of an article is the sum of the weights of those of its labels that the reader likes. An
/// article that fits twice as well may be two days older. Each one that is chosen moves the next one for the
/// same label back by a day, so that one label does not fill the list. All weights fade at the same rate, so
/// this order also changes only with news and with what the reader reads.
pub fn for_you(articles: Vec<Article>, tastes: &[Taste]) -> Vec<Suggestion> {
    let articles: BTreeMap<ArticleId, Article> =
        articles.into_iter().map(|article| (article.id, article)).collect();
    let candidates = articles.values().filter_map(|article| {
        let labels: Vec<String> = article.tags.iter().map(|tag| match_key(tag)).collect();
        let liked = |taste: &&Taste| labels.iter().any(|label| label == taste.label.key());
        let fit: f64 = tastes.iter().filter(liked).map(|taste| taste.weight).sum();
        let most = tastes.iter().filter(liked).max_by(|one, other| {
            one.weight.total_cmp(&other.weight).then_with(|| other.label.cmp(&one.label))
        })?;
        Some(Candidate {
            at: published_at(article).saturating_add(age_bonus(fit)),
            group: &most.label,
            article,
        })
    });
    let chosen = choose_latest(candidates.collect(), LABEL_STEP, MAX_FOR_YOU);
    chosen
        .into_iter()
        .filter_map(|Candidate { group, article, .. }| {
            let reason = tastes.iter().find(|taste| taste.label == *group)?.clone();
            Some(Suggestion { article: article.clone(), reason })
        })
        .collect()
}

/// Returns the time in milliseconds by which an article may be older. It is negative if the fit is less than
/// the weight of one fresh reading. The value is a few days, and the casts saturate.
fn age_bonus(fit: f64) -> i64 {
    (fit.log2() * DOUBLE_FIT_BONUS.as_millis() as f64).round() as i64
}

fn published_at(article: &Article) -> i64 {
    article.published_at.map_or(0, kernel::Timestamp::millis)
}

/// An article that may be chosen, with its moment and the group that must not fill the list alone.
struct Candidate<'a, G> {
    /// The moment in milliseconds.
    at: i64,
    group: G,
    article: &'a Article,
}

/// Chooses the `most` latest of `candidates`. Each one that is chosen moves the rest of its group back by
/// `step`. If two have the same moment, the order of lists decides.
fn choose_latest<G: PartialEq + Copy>(
    mut candidates: Vec<Candidate<'_, G>>,
    step: Duration,
    most: usize,
) -> Vec<Candidate<'_, G>> {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    let mut chosen: Vec<Candidate<'_, G>> = Vec::new();
    candidates.sort_by(|one, other| one.article.newest_first(other.article));
    while chosen.len() < most && !candidates.is_empty() {
        let before = |group: G| chosen.iter().filter(|one| one.group == group).count();
        let moment = |one: &Candidate<'_, G>| {
            let behind = i64::try_from(before(one.group)).unwrap_or(i64::MAX).saturating_mul(step);
            one.at.saturating_sub(behind)
        };
        // `min_by_key` with `Reverse` returns the first of the greatest.
        let next = (0..candidates.len()).min_by_key(|index| Reverse(moment(&candidates[*index])));
        let Some(next) = next else { break };
        chosen.push(candidates.remove(next));
    }
    chosen
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

    fn reasons(suggestions: &[Suggestion]) -> Vec<(u128, &str)> {
        let number = |one: &'_ Suggestion| numbers([&one.article])[0];
        suggestions.iter().map(|one| (number(one), one.reason.label.typed().as_str())).collect()
    }

    #[test]
    fn the_newest_article_leads_and_no_section_fills_the_top_alone() {
        use Section::{Famous, Politics, Sports};
        // Ten goals within an hour; the other sections had a quiet day.
        let sports = (0..10).map(|n| article(Sports, n, 100)).collect();
        let politics = vec![article(Politics, 20, 95), article(Politics, 21, 60)];
        let famous = vec![article(Famous, 30, 87)];
        let front = FrontPage::compose(vec![(Famous, famous), (Politics, politics), (Sports, sports)]);
        // At 100; 95 against 94; then 94, 88; 87 against 82.
        assert_eq!(numbers(&front.top), [9, 20, 8, 7, 30]);
    }

    #[test]
    fn a_block_leaves_top_stories_out_if_it_has_enough_others() {
        use Section::{Famous, Sports};
        let large: Vec<_> = (0..20).map(|n| article(Sports, n, i64::try_from(n).expect("small"))).collect();
        let small = vec![article(Famous, 30, 19), article(Famous, 31, 2)];
        let front = FrontPage::compose(vec![(Famous, small), (Sports, large)]);
        assert_eq!(numbers(&front.top), [30, 19, 18, 17, 16]);
        assert_eq!(front.blocks[0].section, Famous);
        assert_eq!(numbers(&front.blocks[0].articles), [30, 31], "a small section shows all of its own");
        assert_eq!(numbers(&front.blocks[1].articles), [15, 14, 13, 12, 11, 10]);
    }

    #[test]
    fn a_portal_without_news_has_an_empty_front_page_with_every_section() {
        let front = FrontPage::compose(Section::ALL.map(|section| (section, Vec::new())).into());
        assert_eq!((front.top.len(), front.blocks.len()), (0, 3));
    }

    #[test]
    fn an_article_that_fits_twice_as_well_may_be_two_days_older() {
        let tastes = [taste("budget", 2.0), taste("tennis", 1.0)];
        let articles = |hours| vec![about(1, 100, &["tennis"]), about(2, hours, &["budget"])];
        assert_eq!(reasons(&for_you(articles(53), &tastes)), [(2, "budget"), (1, "tennis")]);
        assert_eq!(reasons(&for_you(articles(51), &tastes)), [(1, "tennis"), (2, "budget")]);
    }

    #[test]
    fn articles_without_a_liked_label_are_left_out_and_none_is_repeated() {
        let tastes = [taste("budget", 2.0), taste("tax", 0.5)];
        let both = about(1, 100, &["tax", "budget"]);
        let articles = vec![both.clone(), about(2, 200, &["golf"]), both, about(3, 90, &["tax"])];
        assert_eq!(reasons(&for_you(articles, &tastes)), [(1, "budget"), (3, "tax")]);
        assert_eq!(for_you(vec![about(1, 1, &["budget"])], &[]), []);
    }

    #[test]
    fn one_label_does_not_fill_the_list() {
        let tastes = [taste("budget", 4.0), taste("tennis", 1.0)];
        let mut articles: Vec<_> = (1..=20).map(|number| about(number, 100, &["budget"])).collect();
        articles.push(about(30, 100, &["tennis"]));
        let chosen = for_you(articles, &tastes);
        assert_eq!(chosen.len(), MAX_FOR_YOU);
        // Four times the weight is four days. After four articles tennis is next: it has the moment of the
        // fifth and a greater id.
        assert_eq!(reasons(&chosen)[4], (30, "tennis"));
    }

    proptest! {
        #[test]
        fn the_page_depends_on_the_articles_and_not_on_their_order(
            moments in prop::collection::vec((0usize..3, 0i64..50), 0..60),
            seed in any::<u64>(),
        ) {
            let page = |order: &[(usize, (usize, i64))]| {
                let of = |section: Section| {
                    let own = order.iter().filter(|(_, (at, _))| *at == section as usize);
                    own.map(|(number, (_, hours))| article(section, *number as u128, *hours)).collect::<Vec<_>>()
                };
                FrontPage::compose(Section::ALL.map(|section| (section, of(section))).into())
            };
            let order: Vec<_> = moments.into_iter().enumerate().collect();
            let mut shuffled = order.clone();
            shuffled.sort_by_key(|(number, _)| (*number as u64).wrapping_mul(seed | 1).rotate_left(17));
            let front = page(&order);
            prop_assert_eq!(&front, &page(&shuffled));
            prop_assert_eq!(front.top.len(), order.len().min(MAX_TOP));
            let newest = order.iter().map(|(_, (_, hours))| *hours).max();
            let first = front.top.first().map(|story| published_at(story) / HOUR);
            prop_assert_eq!(first, newest.map(|hours| (1_790_000_000_000 + hours * HOUR) / HOUR));
        }
    }
}
