//! The content of a feed, before it has a format.

use kernel::Timestamp;

use crate::domain::{Article, ArticleCorrection, Correction};

/// The authority of the ids of entries (RFC 4151). It names no host, because an id must outlive every
/// address.
const TAG: &str = "tag:news-portal,2026:";

/// A feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feed {
    /// The title.
    pub title: String,
    /// The title of the portal.
    pub publisher: String,
    /// The id, which is the address.
    pub address: String,
    /// The address of the portal.
    pub home: String,
    /// The entries, newest first.
    pub entries: Vec<Entry>,
}

impl Feed {
    /// Returns the time of the last change of an entry.
    pub fn modified(&self) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.updated).max()
    }

    /// Returns the time of the last change, which Atom requires: the epoch for a feed without entries.
    pub fn updated(&self) -> Timestamp {
        self.modified().unwrap_or(Timestamp::from_millis(0))
    }
}

/// An entry of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The id, which never changes.
    pub id: String,
    /// The address of the article.
    pub url: String,
    /// The title.
    pub title: String,
    /// A few sentences.
    pub summary: Option<String>,
    /// The whole text; `None` if the request does not ask for it.
    pub text: Option<String>,
    /// The byline; `None` after its person was erased.
    pub author: Option<String>,
    /// The labels.
    pub labels: Vec<String>,
    /// The BCP 47 tag of the language.
    pub language: Option<String>,
    /// The URL of a picture.
    pub image: Option<String>,
    /// The moment of the first publication, which stays.
    pub published: Timestamp,
    /// The moment of the last change of what readers read.
    pub updated: Timestamp,
    /// The corrections, oldest first.
    pub corrections: Vec<Correction>,
}

impl Entry {
    /// Returns the entry of an article. `base` is the address of the news API.
    pub fn of_article(article: Article, base: &str) -> Self {
        let published = article.published_at.unwrap_or(article.updated_at);
        Self {
            id: format!("{TAG}article/{}", article.id),
            url: format!("{base}/{}/{}", article.section, article.id),
            title: printable(&article.title),
            summary: article.description.as_deref().map(printable),
            text: article.content.as_deref().map(printable),
            author: Some(printable(&article.author)).filter(|author| !author.is_empty()),
            labels: article.tags.iter().map(|label| printable(label)).collect(),
            language: article.lang,
            image: article.image,
            published,
            updated: published.max(article.revised_at),
            corrections: article.corrections.into_iter().map(printable_correction).collect(),
        }
    }

    /// Returns the entry of a correction.
    pub fn of_correction(corrected: ArticleCorrection, base: &str) -> Self {
        let ArticleCorrection { section, id, title, correction, .. } = corrected;
        let (at, version) = (correction.at, correction.version);
        let correction = printable_correction(correction);
        Self {
            id: format!("{TAG}correction/{id}/{version}"),
            url: format!("{base}/{section}/{id}"),
            title: format!("{}: {}", capitalized(&correction.kind), printable(&title)),
            summary: Some(correction.text.clone()),
            text: Some(correction.text.clone()),
            author: None,
            labels: Vec::new(),
            language: None,
            image: None,
            published: at,
            updated: at,
            corrections: Vec::new(),
        }
    }

    /// Returns the summary and the corrections as text. Readers of a feed must see a correction even if they
    /// do not get the text.
    pub fn summary_text(&self) -> Option<String> {
        let corrections = self.corrections.iter().map(correction_text);
        let parts: Vec<String> = self.summary.iter().cloned().chain(corrections).collect();
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }

    /// Returns the whole text and the corrections as HTML: one paragraph for each block of lines.
    pub fn html(&self) -> Option<String> {
        let corrections = self.corrections.iter().map(correction_text).map(|text| html(&text));
        Some(std::iter::once(html(self.text.as_deref()?)).chain(corrections).collect())
    }
}

fn printable_correction(correction: Correction) -> Correction {
    Correction { text: printable(&correction.text), ..correction }
}

fn correction_text(correction: &Correction) -> String {
    let at = correction.at.to_string();
    let day = at.split('T').next().unwrap_or_default();
    format!("{}, {day}: {}", capitalized(&correction.kind), correction.text)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns text as paragraphs of HTML, in which it can't be anything but text.
pub(super) fn html(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    paragraphs
        .map(|paragraph| format!("<p>{}</p>", quick_xml::escape::escape(paragraph).replace('\n', "<br>")))
        .collect()
}

/// Returns text without what no feed may contain: characters that XML 1.0 excludes (section 2.2) or advises
/// against (controls, noncharacters), and the two characters that turn the direction of all text after them.
fn printable(text: &str) -> String {
    let is_excluded = |character: &char| match *character {
        '\t' | '\n' | '\r' => false,
        '\u{202d}' | '\u{202e}' | '\u{fdd0}'..='\u{fdef}' => true,
        character => character.is_control() || u32::from(character) & 0xfffe == 0xfffe,
    };
    text.chars().filter(|character| !is_excluded(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_contains_only_characters_that_xml_allows() {
        let hostile = "a\u{0}\u{1b}\u{7f}\u{85}\u{fffe}\u{1ffff}\u{202e}\tb\n\u{202b}שלום\u{202c} ]]> &nbsp;";
        assert_eq!(printable(hostile), "a\tb\n\u{202b}שלום\u{202c} ]]> &nbsp;");
    }

    #[test]
    fn text_becomes_paragraphs_and_never_markup() {
        assert_eq!(html("a <b>\r\nc\n\n\n\nd & e"), "<p>a &lt;b&gt;<br>c</p><p>d &amp; e</p>");
        assert_eq!(html(""), "");
    }

    #[test]
    fn a_correction_is_seen_with_and_without_the_text() {
        let mut article = Article::sample(
            kernel::Section::Sports,
            kernel::ArticleId::new(uuid::Uuid::from_u128(1)),
            Timestamp::from_millis(0),
        );
        article.description = Some("A summary.".to_owned());
        article.content = Some("A text.".to_owned());
        article.corrections = vec![Correction {
            kind: "clarification".to_owned(),
            text: "It was Tuesday.".to_owned(),
            at: Timestamp::from_millis(86_400_000),
            version: kernel::Version::new(3),
        }];
        let entry = Entry::of_article(article, "https://news.example/news/v1");
        let note = "Clarification, 1970-01-02: It was Tuesday.";
        assert_eq!(entry.summary_text(), Some(format!("A summary.\n\n{note}")));
        assert_eq!(entry.html(), Some(format!("<p>A text.</p><p>{note}</p>")));
    }
}
