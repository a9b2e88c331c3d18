use kernel::{ArticleId, Identity, MessageId, Section, Timestamp, Trace, UserId, Version};

use super::Article;

/// One read of a published article by a reader who consented to a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The id of the message that will report it. It stays the same if the message is sent again.
    pub id: MessageId,
    /// The reader, from the verified token.
    pub reader: UserId,
    /// The article.
    pub article: ArticleId,
    /// The article's section.
    pub section: Section,
    /// The version in the answer.
    pub version: Version,
    /// The labels of that version.
    pub labels: Vec<String>,
    /// The moment of the answer.
    pub at: Timestamp,
    /// The trace of the request.
    pub trace: Trace,
}

impl Reading {
    /// Returns the reading of `article` by `reader`, if it may be published: the article must be public, and
    /// the reader's token must say that they consented to a history.
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
    fn only_a_published_article_read_with_consent_is_a_reading() {
        let at = Timestamp::from_millis(1);
        let public = Article::sample(Section::Sports, ArticleId::new(Uuid::from_u128(1)), at);
        let draft = Article { state: State::new("draft"), ..public.clone() };
        let reading = |article: &Article, history| {
            Reading::of(article, &reader(history), MessageId::new(Uuid::from_u128(9)), at, Trace::start())
        };
        assert_eq!(reading(&public, true).map(|one| one.labels), Some(vec!["budget".to_owned()]));
        assert_eq!(reading(&public, false), None);
        assert_eq!(reading(&draft, true), None);
    }
}
