//! JSON Feed 1.1 (<https://www.jsonfeed.org/version/1.1/>).

use serde::Serialize;

use super::dates::rfc_3339;
use super::entry::{Entry, Feed};

#[derive(Serialize)]
struct JsonFeed<'a> {
    version: &'static str,
    title: &'a str,
    home_page_url: &'a str,
    feed_url: &'a str,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    url: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    // One of the two must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_html: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    date_published: String,
    date_modified: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authors: Vec<Author<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    /// Our extension: the corrections of the article, oldest first.
    #[serde(rename = "_corrections", skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionItem<'a>>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct CorrectionItem<'a> {
    kind: &'a str,
    text: &'a str,
    at: String,
    version: u32,
}

/// Writes a feed.
///
/// # Errors
/// Never for a feed: all its keys are names.
pub(super) fn write(feed: &Feed) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&JsonFeed {
        version: "https://jsonfeed.org/version/1.1",
        title: &feed.title,
        home_page_url: &feed.home,
        feed_url: &feed.address,
        items: feed.entries.iter().map(item).collect(),
    })
}

fn item(entry: &Entry) -> Item<'_> {
    let content_html = entry.html();
    let content_text = match content_html {
        Some(_) => None,
        None => Some(entry.summary_text().unwrap_or_default()),
    };
    let corrections = entry.corrections.iter().map(|correction| CorrectionItem {
        kind: &correction.kind,
        text: &correction.text,
        at: rfc_3339(correction.at),
        version: correction.version.number(),
    });
    Item {
        id: &entry.id,
        url: &entry.url,
        title: &entry.title,
        summary: entry.summary.as_deref(),
        content_html,
        content_text,
        image: entry.image.as_deref(),
        date_published: rfc_3339(entry.published),
        date_modified: rfc_3339(entry.updated),
        authors: entry.author.iter().map(|name| Author { name }).collect(),
        tags: &entry.labels,
        language: entry.language.as_deref(),
        corrections: corrections.collect(),
    }
}
