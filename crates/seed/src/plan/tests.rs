use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::library::HEADLINE;

fn texts(plan: &Plan) -> impl Iterator<Item = &Text> {
    plan.articles.iter().flat_map(|article| &article.steps).filter_map(|step| match &step.change {
        Change::Draft(text) | Change::Revise(text) => Some(text),
        Change::Publish => None,
    })
}

fn is_fit_to_print(text: &str) -> Result<(), String> {
    let broken =
        ["{", "}", "[", "]", "|", "  ", " ,", " .", "..", ",,", "\"", "a a ", " the the ", "“ ", " ”"];
    match broken.iter().find(|broken| text.contains(**broken)) {
        Some(found) => Err(format!("{found:?} in {text:?}")),
        None if !text.starts_with(|c: char| c.is_uppercase() || c.is_numeric() || "“‘".contains(c)) => {
            Err(format!("a small letter begins {text:?}"))
        }
        None if text.matches('“').count() != text.matches('”').count() => {
            Err(format!("a quote is open in {text:?}"))
        }
        None => Ok(()),
    }
}

/// The stories of a section come in random order, each again only after the others. But the second chapter of
/// one may fall on the same days as that of another story of the same line. So this does not hold for all
/// seeds: one in a hundred shows one pattern twice.
#[test]
fn the_newest_thirty_of_thirty_seeds_hardly_ever_show_a_pattern_twice() {
    let shown = |seed| {
        let plan = Plan::new(seed, 300).expect("a plan");
        let mut published: Vec<&PlannedArticle> =
            plan.articles.iter().filter(|article| article.published_at().is_some()).collect();
        published.sort_by_key(|article| std::cmp::Reverse(article.published_at()));
        published[..30]
            .iter()
            .map(|article| (article.section, article.pattern))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let twice: Vec<_> = (0..30).map(|seed| 30 - shown(seed)).filter(|twice| *twice > 0).collect();
    assert!(twice.len() <= 1 && twice.iter().all(|twice| *twice == 1), "{twice:?}");
    assert_eq!(shown(1847), 30, "the default seed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_text_of_every_seed_is_fit_to_print(seed in any::<u64>()) {
        let plan = Plan::new(seed, 150).expect("a plan");
        for text in texts(&plan) {
            prop_assert!(HEADLINE.contains(&text.title.chars().count()), "{}", text.title);
            prop_assert!(!text.title.ends_with('.') && text.description.ends_with(['.', '”']), "{text:?}");
            prop_assert!((60..=260).contains(&text.description.chars().count()), "{}", text.description);
            let paragraphs: Vec<&str> = text.content.split("\n\n").collect();
            prop_assert!((3..=8).contains(&paragraphs.len()), "{} in {}", paragraphs.len(), text.title);
            for part in paragraphs.into_iter().chain([text.title.as_str(), text.description.as_str()]) {
                prop_assert_eq!(is_fit_to_print(part), Ok(()));
            }
        }
    }

    #[test]
    fn versions_follow_each_other_within_the_three_months(seed in any::<u64>(), count in 1usize..120) {
        let plan = Plan::new(seed, count).expect("a plan");
        prop_assert_eq!(plan.articles.len(), count);
        for article in &plan.articles {
            prop_assert!(article.steps.windows(2).all(|pair| pair[0].at < pair[1].at), "{:?}", article.steps);
            prop_assert!(article.steps.iter().all(|step| (HOUR..WINDOW).contains(&step.at)));
            prop_assert!(matches!(article.steps[0].change, Change::Draft(_)));
            prop_assert!((2..=5).contains(&article.tags.len()), "{:?}", article.tags);
            prop_assert!(article.tags.iter().all(|tag| kernel::Label::parse(tag).is_ok()));
        }
        for reading in &plan.readings {
            let published = plan.articles[reading.article].published_at().expect("a draft has no readings");
            prop_assert!((published..WINDOW).contains(&reading.at));
        }
    }
}

#[test]
fn equal_seeds_give_equal_plans_and_different_seeds_different_ones() {
    assert_eq!(Plan::new(7, 60).expect("a plan"), Plan::new(7, 60).expect("a plan"));
    assert_ne!(Plan::new(7, 60).expect("a plan").articles, Plan::new(8, 60).expect("a plan").articles);
}

#[test]
fn three_thousand_articles_have_three_thousand_headlines() {
    let plan = Plan::new(1, 3000).expect("a plan");
    // The headline that appears is the last one.
    let last = |article: &PlannedArticle| {
        article.steps.iter().rev().find_map(|step| match &step.change {
            Change::Draft(text) | Change::Revise(text) => Some(text.title.clone()),
            Change::Publish => None,
        })
    };
    let titles: BTreeSet<String> = plan.articles.iter().filter_map(last).collect();
    assert_eq!(titles.len(), 3000);
    assert_eq!(plan.articles.iter().map(|article| article.mark).collect::<BTreeSet<_>>().len(), 3000);
}

#[test]
fn a_portal_of_the_usual_size_has_drafts_corrections_and_readers_with_tastes() {
    let plan = Plan::new(crate::DEFAULT_SEED, 300).expect("a plan");
    let drafts = plan.articles.iter().filter(|article| article.published_at().is_none()).count();
    assert!((3..=25).contains(&drafts), "{drafts}");
    let corrected = texts(&plan).filter(|text| text.content.contains("\n\nCorrection: ")).count();
    let updated = texts(&plan).filter(|text| text.content.contains("\n\nUpdate: ")).count();
    assert!(corrected >= 3 && updated >= 1, "{corrected} {updated}");
    let mut read: BTreeMap<usize, usize> = BTreeMap::new();
    plan.readings.iter().for_each(|reading| *read.entry(reading.reader).or_default() += 1);
    assert!(read.len() >= 20 && read.values().all(|count| *count >= 3), "{read:?}");
    let emails: BTreeSet<&String> = plan.people.iter().map(|person| &person.email).collect();
    assert_eq!(emails.len(), plan.people.len());
}
