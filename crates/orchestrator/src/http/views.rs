//! The answers of the routes, as JSON.

use kernel::{ArticleId, Kind, Page, Refusal, Section, Timestamp, Version};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Article, Correction, Retraction};

/// A public correction of a published article.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionView {
    /// `correction`, `clarification`, `update` or `note`.
    kind: String,
    /// The text: what was wrong and what is right.
    text: String,
    /// The moment of the correction.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The version that contains it.
    #[schema(value_type = u32)]
    version: Version,
}

/// The notice that readers get in place of a retracted article.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetractionView {
    /// The reason.
    reason: String,
    /// The moment of the retraction.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Retraction> for RetractionView {
    fn from(retraction: Retraction) -> Self {
        let Retraction { reason, at } = retraction;
        Self { reason, at }
    }
}

/// An article at one version.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleView {
    /// The id, which is unique over all sections.
    #[schema(value_type = uuid::Uuid)]
    id: ArticleId,
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// The version, which every change increments. It is also the `ETag`.
    #[schema(value_type = u32)]
    version: Version,
    /// `draft`, `in_review`, `approved`, `scheduled`, `published`, `unpublished`, `retracted` or `deleted`.
    state: String,
    /// The readable name in addresses, unique in the section.
    slug: String,
    /// The title, one line.
    title: String,
    /// A few sentences for lists.
    description: Option<String>,
    /// The text. Lists leave it out, unless the query has `include=content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// The byline. It is empty after the person with this name was erased. The value can be sent back
    /// unchanged.
    author: String,
    /// The account of the author.
    #[schema(value_type = uuid::Uuid)]
    author_id: kernel::UserId,
    /// The labels, in the author's spelling and order.
    tags: Vec<String>,
    /// The BCP 47 tag of the language.
    lang: Option<String>,
    /// The URL of a picture.
    image: Option<String>,
    /// An ISO 3166 code or a continent.
    region: Option<String>,
    /// The moment of the first draft.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The moment of this version.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The moment of the first publication; null before it.
    #[schema(value_type = Option<String>, format = DateTime)]
    published_at: Option<Timestamp>,
    /// The corrections since then, oldest first.
    corrections: Vec<CorrectionView>,
    /// The moment since which it is in its state. Not in the state `published`, so only for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    state_since: Option<Timestamp>,
    /// The moment of its next publication. Only in the state `scheduled`, so only for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_at: Option<Timestamp>,
    /// The notice of its retraction. Only in the state `retracted`; readers get it as a problem, 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    retraction: Option<RetractionView>,
    /// The note of the editor who returned it. Only in the state `draft`, so only for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    review_note: Option<String>,
}

impl From<Article> for ArticleView {
    fn from(article: Article) -> Self {
        Self {
            id: article.id,
            section: article.section,
            version: article.version,
            state_since: Some(article.state_since).filter(|_| !article.state.is_public()),
            state: article.state.as_str().to_owned(),
            slug: article.slug,
            title: article.title,
            description: article.description,
            content: article.content,
            author: article.author,
            author_id: article.author_id,
            tags: article.tags,
            lang: article.lang,
            image: article.image,
            region: article.region,
            created_at: article.created_at,
            updated_at: article.updated_at,
            published_at: article.published_at,
            corrections: article.corrections.into_iter().map(CorrectionView::from).collect(),
            scheduled_at: article.scheduled_at,
            retraction: article.retraction.map(RetractionView::from),
            review_note: article.review_note,
        }
    }
}

impl From<Correction> for CorrectionView {
    fn from(correction: Correction) -> Self {
        let Correction { kind, text, at, version } = correction;
        Self { kind, text, at, version }
    }
}

/// Always `success`. A failure is a problem, with its own status.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The request succeeded.
    Success,
}

/// The answer with one article.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleAnswer {
    status: Status,
    news: ArticleView,
}

impl From<Article> for ArticleAnswer {
    fn from(article: Article) -> Self {
        Self { status: Status::Success, news: article.into() }
    }
}

/// The answer to a deletion, with the id of the article.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedView {
    status: Status,
    #[schema(value_type = uuid::Uuid)]
    news_id: ArticleId,
}

impl From<ArticleId> for DeletedView {
    fn from(news_id: ArticleId) -> Self {
        Self { status: Status::Success, news_id }
    }
}

/// The fields of an article that `fields` can select, in the order of the document.
pub(super) const ARTICLE_FIELDS: [&str; 22] = [
    "id",
    "type",
    "version",
    "state",
    "slug",
    "title",
    "description",
    "content",
    "author",
    "author_id",
    "tags",
    "lang",
    "image",
    "region",
    "created_at",
    "updated_at",
    "published_at",
    "corrections",
    "state_since",
    "scheduled_at",
    "retraction",
    "review_note",
];

/// The position of a page in its list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageView {
    /// The number of the page, from 1. It is absent in a list by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// The largest number of articles on a page.
    limit: u32,
    /// The number of articles in the whole list.
    total: u64,
    /// The number of pages that can be requested. It is absent in a list by cursor. Pages by number reach the
    /// 10,000th article; cursors continue from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<u64>,
    /// The `cursor` of the next page; null at the end of the list.
    next_cursor: Option<String>,
    /// The `cursor` of the previous page. It is absent at the beginning of the list and in pages by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_cursor: Option<String>,
}

impl PageView {
    /// Creates the position of a page by number.
    pub fn by_number(page: Page, total: u64, next_cursor: Option<String>) -> Self {
        let (number, limit, pages) = (Some(page.number()), page.limit(), Some(page.pages(total)));
        Self { number, limit, total, pages, next_cursor, prev_cursor: None }
    }

    /// Creates the position of a page by cursor.
    pub fn by_cursor(
        limit: u32,
        total: u64,
        next_cursor: Option<String>,
        prev_cursor: Option<String>,
    ) -> Self {
        Self { number: None, limit, total, pages: None, next_cursor, prev_cursor }
    }

    /// Returns the last page that can be requested.
    pub fn last(&self) -> u64 {
        self.pages.unwrap_or_default().max(1)
    }
}

/// An article of a list, with all fields or with the selected fields.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ListItem {
    Complete(Box<ArticleView>),
    Selected(serde_json::Map<String, serde_json::Value>),
}

impl ListItem {
    fn new(article: Article, fields: Option<&[&'static str]>) -> Result<Self, Refusal> {
        let view = ArticleView::from(article);
        let Some(fields) = fields else { return Ok(ListItem::Complete(Box::new(view))) };
        match serde_json::to_value(view) {
            Ok(serde_json::Value::Object(mut members)) => {
                members.retain(|name, _| fields.contains(&name.as_str()));
                Ok(ListItem::Selected(members))
            }
            _ => Err(Refusal::new(Kind::Internal, "internal", "The answer could not be encoded.")),
        }
    }
}

/// A page of a list of articles.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView {
    status: Status,
    #[schema(value_type = Vec<ArticleView>)]
    news: Vec<ListItem>,
    page: PageView,
    /// True if a section did not answer in time. Such an answer is never cached.
    partial: bool,
    /// The sections that did not answer, or that did not answer for an earlier page of this list.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

impl ListView {
    /// Creates a page of these articles, with the selected fields if there is a selection. `missing` names
    /// the missing sections.
    pub fn new(
        articles: Vec<Article>,
        page: PageView,
        missing: Vec<Section>,
        fields: Option<&[&'static str]>,
    ) -> Result<Self, Refusal> {
        let news =
            articles.into_iter().map(|article| ListItem::new(article, fields)).collect::<Result<_, _>>()?;
        Ok(Self { status: Status::Success, news, page, partial: !missing.is_empty(), missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::State;

    #[test]
    fn the_selectable_fields_are_those_of_an_article() {
        let article =
            Article::sample(Section::Sports, ArticleId::new(uuid::Uuid::nil()), Timestamp::from_millis(0));
        let at = Timestamp::from_millis(0);
        let article = Article {
            content: Some("text".to_owned()),
            state: State::new("retracted"),
            scheduled_at: Some(at),
            retraction: Some(Retraction { reason: "reason".to_owned(), at }),
            review_note: Some("note".to_owned()),
            ..article
        };
        let view = serde_json::to_value(ArticleView::from(article)).expect("JSON");
        let mut names: Vec<&str> = view.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut known = ARTICLE_FIELDS;
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
