use kernel::{ArticleId, Identity, MessageId, Section, Timestamp, Trace, UserId, Version};

use super::Article;

/// A reader who consented to a history was answered with a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The message that will say so; the same however often it is sent.
    pub id: MessageId,
    /// Who read, as the verified token says.
    pub reader: UserId,
    /// What was read.
    pub article: ArticleId,
    /// The article's section.
    pub section: Section,
    /// The version that was answered.
    pub version: Version,
    /// What that version is about.
    pub labels: Vec<String>,
    /// When it was answered.
    pub at: Timestamp,
    /// The trace of the request.
    pub trace: Trace,
}

impl Reading {
    /// The reading of `article` by `reader`, if it may be told at all: only a published article counts, and only for somebody
    /// whose token says that they consented to a history.
    pub fn of(
        article: &Article,
        reader: &Identity,
        id: MessageId,
        at: Timestamp,
        trace: Trace,
    ) -> Option<Self> {
        (reader.history && article.state.is_public()).then(|| Self {
            id,
            reader: reader.user,
            article: article.id,
            section: article.section,
            version: article.version,
            labels: article.tags.clone(),
            at,
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Role, Sections, SessionId};
    use uuid::Uuid;

    use super::*;
    use crate::domain::State;

    fn reader(history: bool) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(7)),
            name: "Ada".to_owned(),
            role: Role::Reader,
            sections: Sections::All,
            history,
            session: SessionId::new(Uuid::from_u128(8)),
        }
    }

    #[test]
    fn only_a_published_article_read_with_consent_counts_as_a_reading() {
        let at = Timestamp::from_millis(1);
        let public = Article::sample(Section::Sports, ArticleId::new(Uuid::from_u128(1)), at);
        let draft = Article { state: State::new("draft"), ..public.clone() };
        let told = |article: &Article, history| {
            Reading::of(article, &reader(history), MessageId::new(Uuid::from_u128(9)), at, Trace::start())
        };
        assert_eq!(told(&public, true).map(|reading| reading.labels), Some(vec!["budget".to_owned()]));
        assert_eq!(told(&public, false), None);
        assert_eq!(told(&draft, true), None);
    }
}
