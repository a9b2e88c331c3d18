use std::time::Duration;

use kernel::{Class, Fault, FieldFault, Kind, Section};
use serde_json::{Map, Value};

use crate::ports::SectionError;

/// The failure of a request for news.
#[derive(Debug, thiserror::Error)]
pub enum ArticleError {
    /// The section refused, or could not be reached.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// None of the requested sections answered.
    #[error("no section answered; the first failure was: {first}")]
    AllAway {
        /// The requested sections.
        missing: Vec<Section>,
        /// The failure of the first of them.
        #[source]
        first: Box<SectionError>,
    },
    /// The texts of a page by number exceed the bound of a page.
    #[error(
        "The content of this page must not exceed {most} bytes{}. Ask for fewer articles on a page, or walk the list by \
         `cursor`, whose pages end at that size.",
        bytes.map(|bytes| format!(", got {bytes}")).unwrap_or_default()
    )]
    PageTooLarge {
        /// The size of the texts in bytes, if it is known.
        bytes: Option<u64>,
        /// The largest allowed size in bytes.
        most: u64,
    },
}

impl Fault for ArticleError {
    fn classify(&self) -> Class<'_> {
        match self {
            ArticleError::Section(error) => Class::Inner(error),
            ArticleError::AllAway { .. } => Class::own(Kind::Unavailable, "section_unavailable"),
            ArticleError::PageTooLarge { .. } => Class::own(Kind::Invalid, "page_too_large"),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            ArticleError::Section(error) => error.fields(),
            ArticleError::AllAway { .. } => Vec::new(),
            ArticleError::PageTooLarge { most, .. } => {
                let detail = format!("must be lower: the content of a page must not exceed {most} bytes");
                vec![FieldFault::new("/limit", "page_too_large", detail)]
            }
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            ArticleError::Section(error) => error.extra(),
            ArticleError::AllAway { missing, .. } => {
                let missing: Vec<Value> = missing.iter().map(|section| section.as_str().into()).collect();
                Map::from_iter([("missing".to_owned(), Value::from(missing))])
            }
            ArticleError::PageTooLarge { .. } => Map::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ArticleError::Section(error) => error.retry_after(),
            ArticleError::AllAway { first, .. } => first.retry_after().or(Some(Duration::from_secs(1))),
            ArticleError::PageTooLarge { .. } => None,
        }
    }
}
