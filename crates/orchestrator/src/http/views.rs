//! What the routes read and write, as JSON.

use kernel::{ArticleId, Kind, Page, Refusal, Section, Timestamp, Version};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Article, Correction};

/// A public correction of a published article.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionView {
    /// `correction`, `clarification`, `update` or `note`.
    kind: String,
    /// What was wrong and what is right.
    text: String,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The version that it led to.
    #[schema(value_type = u32)]
    version: Version,
}

/// An article at one version.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArticleView {
    /// Unique over all sections.
    #[schema(value_type = uuid::Uuid)]
    id: ArticleId,
    /// `famous`, `politics` or `sports`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    section: Section,
    /// One more with every change; also the `ETag`.
    #[schema(value_type = u32)]
    version: Version,
    /// `draft`, `in_review`, `approved`, `scheduled`, `published`, `unpublished`, `retracted` or `deleted`.
    state: String,
    /// A readable name, unique in the section.
    slug: String,
    /// One line.
    title: String,
    /// A few sentences for lists.
    description: Option<String>,
    /// The text. Left out of lists, unless `include=content` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// The byline; empty once the person whose name it was is erased. What is read here can be sent back.
    author: String,
    /// The account that wrote it.
    #[schema(value_type = uuid::Uuid)]
    author_id: kernel::UserId,
    /// What it is about.
    tags: Vec<String>,
    /// BCP 47 tag of the language.
    lang: Option<String>,
    /// URL of a picture.
    image: Option<String>,
    /// ISO 3166 code or a continent.
    region: Option<String>,
    /// When it was drafted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When this version was made.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it was first published; null before.
    #[schema(value_type = Option<String>, format = DateTime)]
    published_at: Option<Timestamp>,
    /// What was corrected since, oldest first.
    corrections: Vec<CorrectionView>,
}

impl From<Article> for ArticleView {
    fn from(article: Article) -> Self {
        Self {
            id: article.id,
            section: article.section,
            version: article.version,
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
        }
    }
}

impl From<Correction> for CorrectionView {
    fn from(correction: Correction) -> Self {
        let Correction { kind, text, at, version } = correction;
        Self { kind, text, at, version }
    }
}

/// Always `success`: a failure is a problem, with a status of its own.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was done.
    Success,
}

/// One article.
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

/// Which article was put away.
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

/// The fields of an article that can be asked for one by one, in the order of the document.
pub(super) const ARTICLE_FIELDS: [&str; 18] = [
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
];

/// Where a page stands in its list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageView {
    /// The page, from 1; absent where the list is walked by cursors.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// The most articles of a page.
    limit: u32,
    /// How many articles there are in all.
    total: u64,
    /// How many pages can be asked for; absent if the list is walked by cursors. Pages reach as far as the 10,000th article, cursors
    /// lead on from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<u64>,
    /// Where the list goes on, as `cursor`; null at its end.
    next_cursor: Option<String>,
    /// Where it goes back, as `cursor`; absent at its beginning and in pages by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_cursor: Option<String>,
}

impl PageView {
    /// A page by its number.
    pub fn by_number(page: Page, total: u64, next_cursor: Option<String>) -> Self {
        let (number, limit, pages) = (Some(page.number()), page.limit(), Some(page.pages(total)));
        Self { number, limit, total, pages, next_cursor, prev_cursor: None }
    }

    /// A page by a cursor.
    pub fn by_cursor(
        limit: u32,
        total: u64,
        next_cursor: Option<String>,
        prev_cursor: Option<String>,
    ) -> Self {
        Self { number: None, limit, total, pages: None, next_cursor, prev_cursor }
    }

    /// The last page that can be asked for.
    pub fn last(&self) -> u64 {
        self.pages.unwrap_or_default().max(1)
    }
}

/// An article of a list: whole, or the fields that were asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item {
    Whole(Box<ArticleView>),
    Some(serde_json::Map<String, serde_json::Value>),
}

impl Item {
    fn of(article: Article, fields: Option<&[&'static str]>) -> Result<Self, Refusal> {
        let view = ArticleView::from(article);
        let Some(fields) = fields else { return Ok(Item::Whole(Box::new(view))) };
        match serde_json::to_value(view) {
            Ok(serde_json::Value::Object(mut members)) => {
                members.retain(|name, _| fields.contains(&name.as_str()));
                Ok(Item::Some(members))
            }
            _ => Err(Refusal::new(Kind::Internal, "internal", "an article could not be encoded")),
        }
    }
}

/// A part of a list of articles.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView {
    status: Status,
    #[schema(value_type = Vec<ArticleView>)]
    news: Vec<Item>,
    page: PageView,
    /// True where a section did not answer in time; such an answer is never cached.
    partial: bool,
    /// The sections that did not answer, or that this walk has been without from its first page.
    #[schema(value_type = Vec<String>)]
    missing: Vec<Section>,
}

impl ListView {
    /// These articles, with these fields only where some are named, without the sections in `missing`.
    pub fn new(
        articles: Vec<Article>,
        page: PageView,
        missing: Vec<Section>,
        fields: Option<&[&'static str]>,
    ) -> Result<Self, Refusal> {
        let news = articles.into_iter().map(|article| Item::of(article, fields)).collect::<Result<_, _>>()?;
        Ok(Self { status: Status::Success, news, page, partial: !missing.is_empty(), missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_can_be_asked_for_are_those_of_an_article() {
        let article =
            Article::sample(Section::Sports, ArticleId::new(uuid::Uuid::nil()), Timestamp::from_millis(0));
        let article = Article { content: Some("text".to_owned()), ..article };
        let view = serde_json::to_value(ArticleView::from(article)).expect("JSON");
        let mut names: Vec<&str> = view.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut known = ARTICLE_FIELDS;
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
