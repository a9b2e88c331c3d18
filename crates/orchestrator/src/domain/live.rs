use kernel::{ArticleId, MessageId, Section, Timestamp, Version};

/// The kind of an event that readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveKind {
    /// The article became public, or public again.
    Published,
    /// The public article got a new version.
    Updated,
    /// The public article got a public correction.
    Corrected,
    /// The article was withdrawn without a notice.
    Unpublished,
    /// The article was withdrawn with a notice.
    Retracted,
}

impl LiveKind {
    /// Returns the kind of an event of a section; `None` if readers do not see it. `event` is the last part
    /// of its routing key, and `is_public` says whether the article is public after it.
    pub fn of_event(event: &str, is_public: bool) -> Option<Self> {
        match event {
            "published" | "reinstated" => Some(Self::Published),
            "updated" => Some(Self::Updated),
            "restored" if is_public => Some(Self::Updated),
            "corrected" => Some(Self::Corrected),
            "unpublished" => Some(Self::Unpublished),
            "retracted" => Some(Self::Retracted),
            _ => None,
        }
    }

    /// Returns the name in the field `event` of a stream.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Updated => "updated",
            Self::Corrected => "corrected",
            Self::Unpublished => "unpublished",
            Self::Retracted => "retracted",
        }
    }

    /// True if readers no longer see the article.
    pub const fn withdraws(self) -> bool {
        matches!(self, Self::Unpublished | Self::Retracted)
    }
}

/// An event in the public life of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEvent {
    /// The id of the message on the bus, which is the same in every process.
    pub id: MessageId,
    /// The kind.
    pub kind: LiveKind,
    /// The section of the article.
    pub section: Section,
    /// The article.
    pub article: ArticleId,
    /// The version after the event.
    pub version: Version,
    /// The title and the slug; `None` if the article was withdrawn.
    pub headline: Option<Headline>,
    /// The moment of the event.
    pub at: Timestamp,
}

/// The title of a public article, and its readable name in addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// The title.
    pub title: String,
    /// The slug.
    pub slug: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_an_event_only_if_the_article_is_or_was_public() {
        for hidden in [
            "drafted",
            "edited",
            "submitted",
            "returned",
            "approved",
            "scheduled",
            "unscheduled",
            "deleted",
            "undeleted",
        ] {
            assert_eq!(LiveKind::of_event(hidden, false), None, "{hidden}");
        }
        assert_eq!(LiveKind::of_event("restored", false), None);
        assert_eq!(LiveKind::of_event("restored", true), Some(LiveKind::Updated));
        assert_eq!(LiveKind::of_event("reinstated", true), Some(LiveKind::Published));
    }
}
