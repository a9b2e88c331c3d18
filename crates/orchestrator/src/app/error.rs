use std::time::Duration;

use kernel::{Code, Fault, FieldFault, Kind, Refusal, Section};
use serde_json::{Map, Value};

use crate::ports::DeskError;

/// Why a request for news failed.
#[derive(Debug, thiserror::Error)]
pub enum ArticleError {
    /// The section said no, or could not be reached.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// None of the sections that were asked has answered.
    #[error("no section answered; the first said: {first}")]
    AllAway {
        /// Which were asked.
        missing: Vec<Section>,
        /// What the first of them failed with.
        #[source]
        first: Box<DeskError>,
    },
    /// The texts of a page by its number exceed the bound of a page.
    #[error(
        "The texts of this page exceed {most} bytes{}. Ask for fewer articles on a page, or walk the list by `cursor`, \
         whose pages end at that size.",
        bytes.map(|bytes| format!(": they have {bytes}")).unwrap_or_default()
    )]
    PageTooLarge {
        /// How many bytes they have, if that is known.
        bytes: Option<u64>,
        /// How many there may be.
        most: u64,
    },
}

impl Fault for ArticleError {
    fn kind(&self) -> Kind {
        match self {
            ArticleError::Desk(error) => error.kind(),
            ArticleError::AllAway { .. } => Kind::Unavailable,
            ArticleError::PageTooLarge { .. } => Kind::Invalid,
        }
    }

    fn code(&self) -> Code {
        match self {
            ArticleError::Desk(error) => error.code(),
            ArticleError::AllAway { .. } => Code::new("section_unavailable"),
            ArticleError::PageTooLarge { .. } => Code::new("page_too_large"),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            ArticleError::Desk(error) => error.fields(),
            ArticleError::AllAway { .. } => Vec::new(),
            ArticleError::PageTooLarge { most, .. } => {
                let detail = format!("the texts of a page must not exceed {most} bytes");
                vec![FieldFault::new("/limit", "page_too_large", detail)]
            }
        }
    }

    fn extra(&self) -> Map<String, Value> {
        match self {
            ArticleError::Desk(error) => error.extra(),
            ArticleError::AllAway { missing, .. } => {
                let missing: Vec<Value> = missing.iter().map(|section| section.as_str().into()).collect();
                Map::from_iter([("missing".to_owned(), Value::from(missing))])
            }
            ArticleError::PageTooLarge { .. } => Map::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ArticleError::Desk(error) => error.retry_after(),
            ArticleError::AllAway { first, .. } => first.retry_after().or(Some(Duration::from_secs(1))),
            ArticleError::PageTooLarge { .. } => None,
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            ArticleError::Desk(DeskError::Refused(refusal)) => refusal.clone(),
            _ => {
                let detail =
                    if self.kind().is_ours() { self.kind().sentence().to_owned() } else { self.to_string() };
                Refusal {
                    kind: self.kind(),
                    code: self.code(),
                    detail,
                    fields: self.fields(),
                    extra: self.extra(),
                    retry_after: self.retry_after(),
                }
            }
        }
    }
}
