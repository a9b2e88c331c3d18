use kernel::{ArticleId, FieldFault, MAX_LIMIT, MAX_REACH};

use super::{App, NewsError};
use crate::ports::Listing;

/// Which part of the published articles, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListArticles {
    /// How many to skip.
    pub offset: u32,
    /// How many to give: at most 10,000, and at most 100 with content.
    pub limit: u32,
    /// Gives the content too.
    pub with_content: bool,
}

impl App {
    /// A part of the published articles, newest first. Whoever merges sections asks each for all up to its own page's
    /// end, so the limit is what pages can reach; with content it is one page.
    pub async fn list(&self, list: ListArticles) -> Result<Listing, NewsError> {
        let most = if list.with_content { MAX_LIMIT } else { MAX_REACH };
        if list.limit == 0 || list.limit > most {
            return Err(out_of_range("/limit", format!("must be 1 to {most}")));
        }
        if list.offset.saturating_add(list.limit) > MAX_REACH {
            return Err(out_of_range("/offset", format!("lists reach as far as the {MAX_REACH}th article")));
        }
        Ok(self.view.list(list.offset, list.limit, list.with_content).await?)
    }

    /// These articles with their content, those of them that are published.
    pub async fn pick(&self, ids: &[ArticleId]) -> Result<Listing, NewsError> {
        if ids.len() > MAX_LIMIT as usize {
            return Err(out_of_range("/ids", format!("at most {MAX_LIMIT} articles at once")));
        }
        Ok(self.view.pick(ids).await?)
    }
}

fn out_of_range(pointer: &str, detail: String) -> NewsError {
    NewsError::Invalid(vec![FieldFault::new(pointer, "out_of_range", detail)])
}
