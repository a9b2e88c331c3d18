use std::fmt;
use std::str::FromStr;

/// Where an article stands. Stores and messages keep the name, so a new state changes no stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Being written.
    Draft,
    /// Submitted, waiting for an editor.
    InReview,
    /// Reviewed, waiting to be published.
    Approved,
    /// Waiting for its time.
    Scheduled,
    /// Read by everybody.
    Published,
    /// Taken back quietly; it may come again.
    Unpublished,
    /// Taken back with a notice.
    Retracted,
    /// Put away. Nothing is ever erased by it.
    Deleted,
}

/// What happened to an article. Stores and messages keep the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It was created.
    Drafted,
    /// It got a new version while it was not public.
    Edited,
    /// It became public.
    Published,
    /// It got a new version while it was public.
    Updated,
    /// It was put away.
    Deleted,
    /// It was taken back quietly.
    Unpublished,
    /// It came back after it was put away.
    Undeleted,
    /// It says again what it said at an older version.
    Restored,
}

/// What somebody wants to do with an article that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Change its text.
    Revise,
    /// Make it public.
    Publish,
    /// Put it away.
    Delete,
    /// Take it back from readers, quietly.
    Unpublish,
    /// Let it say again what it said at an older version.
    Restore,
    /// Bring it back after it was put away.
    Undelete,
}

/// A stored name that this program does not know: it was written by a newer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {what} is called `{name}`")]
pub struct UnknownName {
    /// What was looked for.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

impl State {
    /// Every state.
    pub const ALL: [State; 8] = [
        State::Draft,
        State::InReview,
        State::Approved,
        State::Scheduled,
        State::Published,
        State::Unpublished,
        State::Retracted,
        State::Deleted,
    ];

    /// The name in stores, messages and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::InReview => "in_review",
            State::Approved => "approved",
            State::Scheduled => "scheduled",
            State::Published => "published",
            State::Unpublished => "unpublished",
            State::Retracted => "retracted",
            State::Deleted => "deleted",
        }
    }

    /// The state machine: what a command makes of an article in this state, and the state after that.
    /// `None`: the command is illegal here. This table is the only place that says so.
    pub const fn on(self, command: Command) -> Option<(Event, State)> {
        match (self, command) {
            (State::Draft | State::InReview | State::Approved | State::Scheduled, Command::Revise)
            | (State::Unpublished, Command::Revise) => Some((Event::Edited, self)),
            (State::Published, Command::Revise) => Some((Event::Updated, self)),

            // A scheduled article is published by its time, or unscheduled first.
            (State::Draft | State::Approved | State::Unpublished, Command::Publish) => {
                Some((Event::Published, State::Published))
            }

            // What readers have seen is retracted, not deleted.
            (State::Draft | State::InReview | State::Approved | State::Unpublished, Command::Delete) => {
                Some((Event::Deleted, State::Deleted))
            }

            (State::Published, Command::Unpublish) => Some((Event::Unpublished, State::Unpublished)),

            // What may be revised may say again what it said before; it stays where it is.
            (
                State::Draft
                | State::InReview
                | State::Approved
                | State::Scheduled
                | State::Published
                | State::Unpublished,
                Command::Restore,
            ) => Some((Event::Restored, self)),

            // Back to where it stood. That is not known here but from its history: `Article::undelete` is told.
            (State::Deleted, Command::Undelete) => Some((Event::Undeleted, State::Draft)),

            (State::InReview | State::Scheduled, Command::Publish)
            | (State::Scheduled | State::Published | State::Deleted, Command::Delete)
            | (State::Published | State::Deleted, Command::Publish)
            | (State::Deleted, Command::Revise | Command::Restore)
            | (State::Retracted, _) => None,
            (_, Command::Unpublish | Command::Undelete) => None,
        }
    }

    /// The commands that are legal in this state, for whoever may give them.
    pub fn allowed(self) -> Vec<Command> {
        Command::ALL.into_iter().filter(|command| self.on(*command).is_some()).collect()
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 8] = [
        Event::Drafted,
        Event::Edited,
        Event::Published,
        Event::Updated,
        Event::Deleted,
        Event::Unpublished,
        Event::Undeleted,
        Event::Restored,
    ];

    /// The name in stores and routing keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Event::Drafted => "drafted",
            Event::Edited => "edited",
            Event::Published => "published",
            Event::Updated => "updated",
            Event::Deleted => "deleted",
            Event::Unpublished => "unpublished",
            Event::Undeleted => "undeleted",
            Event::Restored => "restored",
        }
    }
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 6] = [
        Command::Revise,
        Command::Publish,
        Command::Delete,
        Command::Unpublish,
        Command::Restore,
        Command::Undelete,
    ];

    /// The name in refusals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Command::Revise => "revise",
            Command::Publish => "publish",
            Command::Delete => "delete",
            Command::Unpublish => "unpublish",
            Command::Restore => "restore",
            Command::Undelete => "undelete",
        }
    }
}

macro_rules! named {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = $name::ALL.into_iter().find(|each| each.as_str() == text);
                found.ok_or_else(|| UnknownName { what: $what, name: text.to_owned() })
            }
        }
    };
}

named!(State, "state of an article");
named!(Event, "event of an article");
named!(Command, "command on an article");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for event in Event::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
        }
        for command in Command::ALL {
            assert_eq!(command.as_str().parse(), Ok(command));
        }
        assert!("vanished".parse::<State>().is_err());
    }

    #[test]
    fn a_published_article_can_be_revised_but_neither_published_again_nor_deleted() {
        let allowed = [Command::Revise, Command::Unpublish, Command::Restore];
        assert_eq!(State::Published.allowed(), allowed);
        assert_eq!(State::Published.on(Command::Revise), Some((Event::Updated, State::Published)));
    }

    #[test]
    fn what_was_put_away_can_only_be_brought_back() {
        assert_eq!(State::Deleted.allowed(), [Command::Undelete]);
        assert_eq!(State::Retracted.allowed(), []);
    }

    #[test]
    fn what_was_taken_back_can_be_public_again() {
        assert_eq!(State::Published.on(Command::Unpublish), Some((Event::Unpublished, State::Unpublished)));
        assert_eq!(State::Unpublished.on(Command::Publish), Some((Event::Published, State::Published)));
        assert_eq!(State::Unpublished.on(Command::Restore), Some((Event::Restored, State::Unpublished)));
    }
}
