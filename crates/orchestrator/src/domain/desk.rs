use kernel::{ArticleId, Section, Timestamp};

use super::{Article, State};

/// The most articles of a group.
pub const MAX_GROUP: usize = 20;

/// The number of articles in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateCount {
    /// The state.
    pub state: State,
    /// The number of articles.
    pub articles: u64,
}

/// A group of articles that wait for one of the staff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeskGroup {
    /// The first articles of the group, without texts.
    pub articles: Vec<Article>,
    /// The number of articles in the whole group.
    pub total: u64,
}

/// The work of one section, as it returns it to one of its staff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionDesk {
    /// The number of articles in each state that the caller may see.
    pub counts: Vec<StateCount>,
    /// The articles in review that others wrote, the longest in review first.
    pub to_review: DeskGroup,
    /// The caller's own drafts that an editor has returned, the longest returned first.
    pub returned: DeskGroup,
    /// The scheduled articles, the next one first.
    pub scheduled: DeskGroup,
}

/// The work of several sections in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desk {
    /// The number of articles in each state, for each section.
    pub counts: Vec<(Section, Vec<StateCount>)>,
    /// As in [`SectionDesk`], of all sections: at most [`MAX_GROUP`].
    pub to_review: DeskGroup,
    /// As in [`SectionDesk`], of all sections: at most [`MAX_GROUP`].
    pub returned: DeskGroup,
    /// As in [`SectionDesk`], of all sections: at most [`MAX_GROUP`].
    pub scheduled: DeskGroup,
}

impl Desk {
    /// Merges the work of sections. The totals are those of all of them.
    pub fn merge(sections: Vec<(Section, SectionDesk)>) -> Self {
        let mut desk = Self::default();
        for (section, SectionDesk { counts, to_review, returned, scheduled }) in sections {
            desk.counts.push((section, counts));
            desk.to_review.add(to_review);
            desk.returned.add(returned);
            desk.scheduled.add(scheduled);
        }
        desk.to_review.cut(|article| Some(article.state_since));
        desk.returned.cut(|article| Some(article.state_since));
        desk.scheduled.cut(|article| article.scheduled_at);
        desk
    }
}

impl DeskGroup {
    fn add(&mut self, other: Self) {
        self.articles.extend(other.articles);
        self.total = self.total.saturating_add(other.total);
    }

    /// Sorts the articles by a moment, the earliest first, and leaves the first ones.
    fn cut(&mut self, moment: impl Fn(&Article) -> Option<Timestamp>) {
        let key = |article: &Article| -> (Option<Timestamp>, ArticleId) { (moment(article), article.id) };
        self.articles.sort_by_key(key);
        self.articles.truncate(MAX_GROUP);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn article(section: Section, number: u128, second: i64) -> Article {
        let at = Timestamp::from_millis(second * 1_000);
        let id = ArticleId::new(Uuid::from_u128(number));
        Article { state_since: at, scheduled_at: Some(at), ..Article::sample(section, id, at) }
    }

    fn group(section: Section, seconds: &[(u128, i64)], total: u64) -> DeskGroup {
        let articles = seconds.iter().map(|(number, second)| article(section, *number, *second)).collect();
        DeskGroup { articles, total }
    }

    fn numbers(group: &DeskGroup) -> Vec<u128> {
        group.articles.iter().map(|article| article.id.uuid().as_u128()).collect()
    }

    #[test]
    fn groups_of_sections_are_one_order_with_one_bound_and_the_sum_of_their_totals() {
        let many: Vec<(u128, i64)> = (100..120).map(|number| (number, 50)).collect();
        let famous = SectionDesk {
            to_review: group(Section::Famous, &[(3, 10), (1, 30)], 2),
            scheduled: group(Section::Famous, &[(5, 7)], 1),
            ..SectionDesk::default()
        };
        let sports = SectionDesk {
            to_review: group(Section::Sports, &many, 35),
            returned: group(Section::Sports, &[(9, 1)], 1),
            scheduled: group(Section::Sports, &[(4, 7)], 1),
            ..SectionDesk::default()
        };
        let desk = Desk::merge(vec![(Section::Famous, famous), (Section::Sports, sports)]);
        assert_eq!((desk.to_review.articles.len(), desk.to_review.total), (MAX_GROUP, 37));
        assert_eq!(numbers(&desk.to_review)[..4], [3, 1, 100, 101]);
        assert_eq!((numbers(&desk.returned), numbers(&desk.scheduled)), (vec![9], vec![4, 5]));
        let sections: Vec<Section> = desk.counts.iter().map(|(section, _)| *section).collect();
        assert_eq!(sections, [Section::Famous, Section::Sports]);
    }
}
