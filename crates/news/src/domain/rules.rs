use kernel::{Identity, Role, Section};

use super::{Article, Permission, Retraction, Standing, State, Transition};

/// The rules of a newsroom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newsroom {
    /// Editors are allowed to review their own articles: for a newsroom of one person. Off by default.
    pub self_review: bool,
    /// The language of articles that name none.
    pub language: Option<String>,
}

/// The reason why a caller is not allowed to do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The caller is not logged in.
    #[error("Log in first.")]
    Anonymous,
    /// The caller is not allowed to know that the article exists.
    #[error("There is no such article.")]
    NotThere,
    /// The caller's role is not sufficient, or is not valid in this section.
    #[error("This needs the role {0} in this section.")]
    Role(Role),
    /// Editors do not review their own articles.
    #[error("You wrote this article, so another editor must do this.")]
    SelfReview,
    /// The article was retracted. Readers get the notice in its place.
    #[error("The article was retracted.")]
    Retracted(Retraction),
}

/// Checks that a caller may see an article. Every caller sees published articles. The author and the editors
/// of the section see it in other states too, except after its deletion.
///
/// # Errors
/// [`AccessDenied::Retracted`] or [`AccessDenied::NotThere`].
pub fn may_see(who: Option<&Identity>, article: &Article) -> Result<(), AccessDenied> {
    match article.state {
        State::Published => Ok(()),
        State::Deleted => Err(AccessDenied::NotThere),
        _ if is_staff(who, article) => Ok(()),
        _ => Err(deny_reader(article)),
    }
}

/// Returns the reason why readers do not see an article that is not public.
fn deny_reader(article: &Article) -> AccessDenied {
    article.retraction.clone().map_or(AccessDenied::NotThere, AccessDenied::Retracted)
}

/// The versions of an article that a caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisibleVersions {
    /// All versions.
    All,
    /// The versions that readers could see when they were the newest.
    Public,
}

impl VisibleVersions {
    /// True if a version in this state is shown.
    pub fn shows(self, state: State) -> bool {
        self == VisibleVersions::All || state == State::Published
    }
}

/// Returns the versions that `who` may see of an article whose newest version is `now`.
///
/// The author and the section's editors see all versions, even of a deleted article: otherwise they could not
/// judge whether to bring it back. Readers see the versions that were public, as long as the article is
/// public.
///
/// # Errors
/// [`AccessDenied::Retracted`] or [`AccessDenied::NotThere`].
pub fn may_look_back(who: Option<&Identity>, now: &Article) -> Result<VisibleVersions, AccessDenied> {
    match now.state {
        _ if is_staff(who, now) => Ok(VisibleVersions::All),
        State::Published => Ok(VisibleVersions::Public),
        _ => Err(deny_reader(now)),
    }
}

/// Checks that `who` is allowed to create an article. Authors of the section are. For immediate publication,
/// the caller must be allowed to publish an own article.
///
/// # Errors
/// [`AccessDenied`] with the reason.
pub fn may_create(
    who: &Identity,
    section: Section,
    publish: bool,
    newsroom: &Newsroom,
) -> Result<(), AccessDenied> {
    if !who.may_act_as(Role::Author, section) {
        return Err(AccessDenied::Role(Role::Author));
    }
    if publish { may_publish_own(who, section, newsroom) } else { Ok(()) }
}

/// Checks that `who` is allowed to request this transition of this article, and returns the standing in which
/// they do. Whether the transition is legal in the article's state is another question, asked afterwards.
///
/// # Errors
/// [`AccessDenied`] with the reason.
pub fn may_change(
    who: &Identity,
    transition: Transition,
    article: &Article,
    newsroom: &Newsroom,
) -> Result<Standing, AccessDenied> {
    let editor = is_editor(who, article.section);
    // An editor may meet a deleted article: the state machine refuses, and says what is allowed.
    if !editor {
        may_see(Some(who), article)?;
    }
    let own = is_author(who, article);
    let standing = if own && !may_review_own(who, newsroom) { Standing::Author } else { Standing::Reviewer };
    // No other editor reads it before readers do.
    let unread = matches!(article.state, State::Scheduled | State::Published);
    let undecided = matches!(article.state, State::Draft | State::InReview | State::Approved);
    match transition.permission() {
        // No message requests it, so no caller gets this refusal.
        Permission::Portal => Err(AccessDenied::Role(Role::Admin)),
        Permission::AuthorOrEditor if own => Ok(standing),
        Permission::AuthorOfDraftOrEditor if own && article.state == State::Draft => Ok(standing),
        Permission::AuthorUntilDecidedOrEditor if own && undecided => Ok(standing),
        _ if !editor => Err(AccessDenied::Role(Role::Editor)),
        Permission::AuthorUntilDecidedOrEditor if unread && standing == Standing::Author => {
            Err(AccessDenied::SelfReview)
        }
        Permission::Reviewer if standing == Standing::Author => Err(AccessDenied::SelfReview),
        _ => Ok(standing),
    }
}

/// Returns the transitions of an article that are legal in its state and that `who` is allowed to request.
pub fn allowed(who: &Identity, article: &Article, newsroom: &Newsroom) -> Vec<Transition> {
    let is_allowed = |transition: &Transition| {
        may_change(who, *transition, article, newsroom)
            .is_ok_and(|standing| article.state.on(*transition, standing).is_some())
    };
    Transition::ALL.into_iter().filter(is_allowed).collect()
}

fn may_publish_own(who: &Identity, section: Section, newsroom: &Newsroom) -> Result<(), AccessDenied> {
    if !is_editor(who, section) {
        return Err(AccessDenied::Role(Role::Editor));
    }
    if may_review_own(who, newsroom) { Ok(()) } else { Err(AccessDenied::SelfReview) }
}

fn may_review_own(who: &Identity, newsroom: &Newsroom) -> bool {
    newsroom.self_review || who.role == Role::Admin
}

/// True if the caller works on this article: its author, or an editor of its section.
fn is_staff(who: Option<&Identity>, article: &Article) -> bool {
    who.is_some_and(|who| is_editor(who, article.section) || is_author(who, article))
}

fn is_editor(who: &Identity, section: Section) -> bool {
    who.may_act_as(Role::Editor, section)
}

fn is_author(who: &Identity, article: &Article) -> bool {
    who.user == article.author && who.may_act_as(Role::Author, article.section)
}

#[cfg(test)]
mod tests {
    use kernel::{ArticleId, Sections, SessionId, Timestamp, UserId};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Byline, NewDraft, Slug, Story, StoryInput};

    const STRICT: Newsroom = Newsroom { self_review: false, language: None };
    const ALONE: Newsroom = Newsroom { self_review: true, language: None };
    const OWN: u128 = 1;
    const OTHER: u128 = 2;

    fn who(user: u128, role: Role, sections: Sections) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(user)),
            name: "Ada".to_owned(),
            role,
            sections,
            history: false,
            session: SessionId::new(Uuid::nil()),
        }
    }

    fn elsewhere() -> Sections {
        Sections::Only([Section::Politics].into())
    }

    fn article(state: State) -> Article {
        let id = ArticleId::new(Uuid::from_u128(9));
        let input = StoryInput { title: "T".to_owned(), content: "c".to_owned(), ..StoryInput::default() };
        let new = NewDraft {
            id,
            section: Section::Sports,
            slug: Slug::candidates("T", id)[0].clone(),
            story: Story::parse(input).expect("a valid story"),
            byline: Byline::of("Ada", UserId::new(Uuid::from_u128(OWN))),
            author: UserId::new(Uuid::from_u128(OWN)),
            at: Timestamp::from_millis(0),
        };
        let retraction = Retraction { reason: "It was invented.".to_owned(), at: Timestamp::from_millis(5) };
        let retraction = Some(retraction).filter(|_| state == State::Retracted);
        Article { state, retraction, ..Article::draft(new).article }
    }

    /// Returns what readers get in place of an article in this state.
    fn seen_by_readers(state: State) -> Result<(), AccessDenied> {
        match article(state).retraction {
            _ if state == State::Published => Ok(()),
            Some(retraction) => Err(AccessDenied::Retracted(retraction)),
            None => Err(AccessDenied::NotThere),
        }
    }

    #[test]
    fn readers_see_published_articles_and_the_notice_of_retracted_ones() {
        for state in State::ALL {
            let seen = seen_by_readers(state);
            assert_eq!(may_see(None, &article(state)), seen, "{state}");
            assert_eq!(may_see(Some(&who(OTHER, Role::Reader, Sections::All)), &article(state)), seen);
            assert_eq!(may_see(Some(&who(OTHER, Role::Author, Sections::All)), &article(state)), seen);
            assert_eq!(may_see(Some(&who(OTHER, Role::Editor, elsewhere())), &article(state)), seen);
            // A former author, who is a reader now, sees no drafts either.
            assert_eq!(may_see(Some(&who(OWN, Role::Reader, Sections::All)), &article(state)), seen);
        }
    }

    #[test]
    fn authors_see_their_own_articles_and_editors_all_of_their_sections() {
        for state in State::ALL {
            let seen = if state == State::Deleted { Err(AccessDenied::NotThere) } else { Ok(()) };
            assert_eq!(
                may_see(Some(&who(OWN, Role::Author, Sections::All)), &article(state)),
                seen,
                "{state}"
            );
            assert_eq!(may_see(Some(&who(OTHER, Role::Editor, Sections::All)), &article(state)), seen);
            assert_eq!(may_see(Some(&who(OTHER, Role::Admin, Sections::All)), &article(state)), seen);
        }
    }

    #[test]
    fn authors_change_their_own_articles_until_the_publication_is_decided_and_delete_drafts() {
        use State::{Approved, Draft, InReview, Published, Scheduled, Unpublished};
        for (transition, allowed) in [
            (Transition::Revise, vec![Draft, InReview, Approved]),
            (Transition::Restore, vec![Draft, InReview, Approved]),
            (Transition::Delete, vec![Draft]),
        ] {
            let own = who(OWN, Role::Author, Sections::All);
            for state in [Draft, InReview, Approved, Scheduled, Published, Unpublished] {
                let expected = match allowed.contains(&state) {
                    true => Ok(Standing::Author),
                    false => Err(AccessDenied::Role(Role::Editor)),
                };
                assert_eq!(may_change(&own, transition, &article(state), &STRICT), expected, "{state}");
            }
            let other = who(OTHER, Role::Author, Sections::All);
            let denied = may_change(&other, transition, &article(State::Draft), &STRICT);
            assert_eq!(denied, Err(AccessDenied::NotThere));
            let denied = may_change(&other, transition, &article(State::Published), &STRICT);
            assert_eq!(denied, Err(AccessDenied::Role(Role::Editor)));
        }
    }

    #[test]
    fn only_editors_of_the_section_unpublish_and_undelete() {
        for (transition, state) in
            [(Transition::Unpublish, State::Published), (Transition::Undelete, State::Deleted)]
        {
            // Also for their own articles: neither transition makes anything public.
            for editor in [who(OTHER, Role::Editor, Sections::All), who(OWN, Role::Editor, Sections::All)] {
                assert!(may_change(&editor, transition, &article(state), &STRICT).is_ok());
            }
            for other in [
                who(OWN, Role::Author, Sections::All),
                who(OTHER, Role::Reader, Sections::All),
                who(OTHER, Role::Editor, elsewhere()),
            ] {
                assert!(may_change(&other, transition, &article(state), &STRICT).is_err(), "{transition}");
            }
        }
    }

    #[test]
    fn readers_see_public_versions_of_public_articles_and_staff_all_versions() {
        for state in State::ALL {
            let now = article(state);
            let readers = seen_by_readers(state).map(|()| VisibleVersions::Public);
            for reader in [
                who(OTHER, Role::Reader, Sections::All),
                who(OTHER, Role::Author, Sections::All),
                who(OTHER, Role::Editor, elsewhere()),
                who(OWN, Role::Reader, Sections::All),
            ] {
                assert_eq!(may_look_back(Some(&reader), &now), readers, "{state}");
            }
            assert_eq!(may_look_back(None, &now), readers, "{state}");
            for staff in [
                who(OWN, Role::Author, Sections::All),
                who(OTHER, Role::Editor, Sections::All),
                who(OTHER, Role::Admin, Sections::All),
            ] {
                assert_eq!(may_look_back(Some(&staff), &now), Ok(VisibleVersions::All), "{state}");
            }
            assert_eq!(VisibleVersions::Public.shows(state), state == State::Published);
            assert!(VisibleVersions::All.shows(state));
        }
    }

    #[test]
    fn authors_publish_nothing() {
        for newsroom in [STRICT, ALONE] {
            let own = who(OWN, Role::Author, Sections::All);
            let denied = may_change(&own, Transition::Publish, &article(State::Draft), &newsroom);
            assert_eq!(denied, Err(AccessDenied::Role(Role::Editor)));
            let denied = may_create(&own, Section::Sports, true, &newsroom);
            assert_eq!(denied, Err(AccessDenied::Role(Role::Editor)));
        }
    }

    #[test]
    fn editors_review_their_own_articles_only_if_the_newsroom_allows_it() {
        let own = |role| who(OWN, role, Sections::All);
        let other = who(OTHER, Role::Editor, Sections::All);
        for (transition, state) in [
            (Transition::Publish, State::Draft),
            (Transition::Approve, State::InReview),
            (Transition::Schedule, State::Approved),
            (Transition::Correct, State::Published),
            (Transition::Revise, State::Published),
            (Transition::Restore, State::Published),
            (Transition::Revise, State::Scheduled),
        ] {
            let change = |who: &Identity, newsroom| may_change(who, transition, &article(state), newsroom);
            assert_eq!(change(&other, &STRICT), Ok(Standing::Reviewer), "{transition} {state}");
            assert_eq!(change(&own(Role::Editor), &STRICT), Err(AccessDenied::SelfReview), "{transition}");
            assert_eq!(change(&own(Role::Editor), &ALONE), Ok(Standing::Reviewer));
            assert_eq!(change(&own(Role::Admin), &STRICT), Ok(Standing::Reviewer));
            assert!(change(&who(OTHER, Role::Editor, elsewhere()), &STRICT).is_err());
        }
        // Another editor reads their own unpublished article before it is public again.
        let change =
            may_change(&own(Role::Editor), Transition::Revise, &article(State::Unpublished), &STRICT);
        assert_eq!(change, Ok(Standing::Author));
    }

    #[test]
    fn no_caller_publishes_a_scheduled_article_before_its_time() {
        let admin = who(OTHER, Role::Admin, Sections::All);
        let scheduled = article(State::Scheduled);
        assert!(may_change(&admin, Transition::PublishScheduled, &scheduled, &ALONE).is_err());
        let expected = [Transition::Revise, Transition::Unschedule, Transition::Restore];
        assert_eq!(allowed(&admin, &scheduled, &ALONE), expected);
    }

    #[test]
    fn only_what_the_caller_may_do_is_offered() {
        let review = article(State::InReview);
        let author = who(OWN, Role::Author, Sections::All);
        assert_eq!(allowed(&author, &review, &STRICT), [Transition::Revise, Transition::Restore]);
        let editor = who(OTHER, Role::Editor, Sections::All);
        use Transition::{Approve, Delete, Restore, Return, Revise};
        assert_eq!(allowed(&editor, &review, &STRICT), [Revise, Return, Approve, Delete, Restore]);
        assert_eq!(allowed(&who(OTHER, Role::Reader, Sections::All), &review, &STRICT), []);
    }

    #[test]
    fn creating_needs_an_author_of_the_section() {
        let create = |who: &Identity, publish| may_create(who, Section::Sports, publish, &STRICT);
        assert_eq!(
            create(&who(OWN, Role::Reader, Sections::All), false),
            Err(AccessDenied::Role(Role::Author))
        );
        assert_eq!(
            create(&who(OWN, Role::Author, elsewhere()), false),
            Err(AccessDenied::Role(Role::Author))
        );
        assert_eq!(create(&who(OWN, Role::Author, Sections::All), false), Ok(()));
        assert_eq!(create(&who(OWN, Role::Editor, Sections::All), true), Err(AccessDenied::SelfReview));
        assert_eq!(create(&who(OWN, Role::Admin, Sections::All), true), Ok(()));
    }

    #[test]
    fn a_deleted_article_exists_for_editors_only() {
        let deleted = article(State::Deleted);
        let editor = who(OTHER, Role::Editor, Sections::All);
        assert_eq!(may_change(&editor, Transition::Revise, &deleted, &STRICT), Ok(Standing::Reviewer));
        let author = who(OWN, Role::Author, Sections::All);
        assert_eq!(may_change(&author, Transition::Revise, &deleted, &STRICT), Err(AccessDenied::NotThere));
    }
}
