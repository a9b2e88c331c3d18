use kernel::Page;

use super::Article;

/// The newest articles of one section, and how many it has in all.
#[derive(Debug, Clone, Default)]
pub struct SectionList {
    /// Newest first; as many as were asked for, or all.
    pub articles: Vec<Article>,
    /// How many there are in all.
    pub total: u64,
}

/// A page of several sections as if they were one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    /// What stands on the page, newest first.
    pub articles: Vec<Article>,
    /// How many there are in all sections together.
    pub total: u64,
}

/// The page of the one order of all sections: newest first, and of two articles of one moment the one with the greater id first.
///
/// Each list must hold at least the first [`Page::reach`] articles of its section, or all of them: any of these may stand on the
/// page. A page is never put together from the same page of each section, which would leave articles out and repeat others.
pub fn merge(lists: Vec<SectionList>, page: Page) -> Merged {
    let total = lists.iter().map(|list| list.total).sum();
    let mut articles: Vec<Article> = lists.into_iter().flat_map(|list| list.articles).collect();
    // The lists are runs that are in order already, and the standard library's stable sort merges such runs instead of
    // sorting anew; unlike a hand-written merge it is also right should a section ever answer out of order.
    articles.sort_by(Article::newest_first);
    let skip = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    Merged { articles: articles.into_iter().skip(skip).take(limit).collect(), total }
}

#[cfg(test)]
mod tests {
    use kernel::{ArticleId, Section, Timestamp};
    use proptest::prelude::*;

    use super::*;

    /// A section of `count` articles as it would answer: in order, cut at `reach`.
    fn section(section: Section, moments: &[i64], reach: u32) -> SectionList {
        let mut all: Vec<Article> = moments
            .iter()
            .enumerate()
            .map(|(index, at)| {
                let id =
                    uuid::Uuid::from_u128((u128::from(section as u8) << 64) | (index as u128 * 7919 % 1009));
                Article::sample(section, ArticleId::new(id), Timestamp::from_millis(*at))
            })
            .collect();
        all.sort_by(Article::newest_first);
        let total = all.len() as u64;
        all.truncate(reach as usize);
        SectionList { articles: all, total }
    }

    fn naive(moments: &[Vec<i64>; 3], page: Page) -> Vec<(Option<Timestamp>, ArticleId)> {
        let mut keys: Vec<_> = Section::ALL
            .into_iter()
            .zip(moments)
            .flat_map(|(name, moments)| section(name, moments, u32::MAX).articles)
            .map(|article| (article.published_at, article.id))
            .collect();
        keys.sort();
        keys.reverse();
        keys.into_iter().skip(page.offset() as usize).take(page.limit() as usize).collect()
    }

    fn sections() -> impl Strategy<Value = [Vec<i64>; 3]> {
        // Few different moments, so that ties are common.
        let size = prop_oneof![Just(0usize), Just(3), Just(500), 0usize..40];
        let moments = move || size.clone().prop_flat_map(|count| prop::collection::vec(0i64..60, count));
        [moments(), moments(), moments()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_page_is_a_slice_of_the_merged_order(moments in sections(), number in 1u32..60, limit in 1u32..=100) {
            let page = Page::new(number, limit).expect("within reach");
            let lists = Section::ALL.into_iter().zip(&moments).map(|(name, moments)| section(name, moments, page.reach()));
            let merged = merge(lists.collect(), page);
            let keys: Vec<_> = merged.articles.iter().map(|article| (article.published_at, article.id)).collect();
            prop_assert_eq!(keys, naive(&moments, page));
            prop_assert_eq!(merged.total, moments.iter().map(|section| section.len() as u64).sum::<u64>());
        }
    }

    #[test]
    fn pages_of_sections_with_0_3_and_500_articles_hold_each_article_once() {
        let moments = [vec![], vec![30, 30, 10], (0..500).map(|i| i % 50).collect::<Vec<i64>>()];
        for limit in [1, 7, 100] {
            let mut seen = Vec::new();
            for number in 1..=(503u32.div_ceil(limit)) {
                let page = Page::new(number, limit).expect("within reach");
                let lists =
                    Section::ALL.into_iter().zip(&moments).map(|(name, m)| section(name, m, page.reach()));
                let merged = merge(lists.collect(), page);
                assert_eq!(merged.total, 503);
                let left = 503 - page.offset() as usize;
                assert_eq!(
                    merged.articles.len(),
                    left.min(limit as usize),
                    "exactly the limit, but for the last"
                );
                seen.extend(merged.articles.into_iter().map(|article| article.id));
            }
            let different: std::collections::BTreeSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), different.len()), (503, 503));
        }
    }
}
