use kernel::{ArticleId, UserId, texts_that_fit};

use super::{App, NewsError};
use crate::domain::{Article, Filter, Order, Part, Position, Start, State};
use crate::ports::Listing;

/// The most articles on a page of an export.
const PAGE: u32 = 100;

/// A page of the articles that a person wrote.
pub struct ExportPage {
    /// The articles. A published article comes without its text, which every reader can request; any other
    /// article has it. The texts of a page fit into one reply.
    pub articles: Vec<Article>,
    /// True if another page follows.
    pub has_more: bool,
}

impl App {
    /// Returns a page of all articles that a person wrote, whatever their state is, each at its newest
    /// version: after the position `after`, or the first one. They come in the order of their first
    /// publication, so an article that is published between two pages may be met twice, and none is missed.
    pub async fn export_articles(
        &self,
        author: UserId,
        after: Option<Position>,
    ) -> Result<ExportPage, NewsError> {
        let filter = Filter { author: Some(author), states: State::ALL.to_vec(), ..Filter::default() };
        let start = after.map_or(Start::Offset(0), Start::After);
        let part = Part { filter: filter.clone(), order: Order::Oldest, start, limit: PAGE };
        let Listing { articles: mut listed, .. } = self.view.list(&part).await?;
        let is_full = listed.len() == PAGE as usize;
        let hidden: Vec<ArticleId> =
            listed.iter().filter(|article| article.state != State::Published).map(|it| it.id).collect();
        let sizes = self.view.sizes(&hidden, &filter).await?;
        let fit = texts_that_fit(listed.iter().map(|article| sizes.get(&article.id).copied().unwrap_or(0)));
        let has_more = is_full || fit < listed.len();
        listed.truncate(fit);
        let wanted: Vec<ArticleId> =
            listed.iter().map(|article| article.id).filter(|id| hidden.contains(id)).collect();
        // An article that has changed meanwhile is taken as it is now.
        for article in self.view.pick(&wanted, &filter, true).await? {
            if let Some(place) = listed.iter_mut().find(|listed| listed.id == article.id) {
                *place = article;
            }
        }
        Ok(ExportPage { articles: listed, has_more })
    }
}
