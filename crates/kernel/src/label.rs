use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::text::{TextError, line};
use crate::{is_visible, match_key};

/// A topic of an article in its author's words: 1 to 50 characters, stored as they were typed.
///
/// Two labels are equal if their spelling is equal. They are the same label if their [`Label::key`] is equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// The maximum number of characters of a label.
    pub const MAX: usize = 50;

    /// Checks a label as it was typed.
    ///
    /// # Errors
    /// [`TextError`] if it is not one line of 1 to 50 characters, at least one of them visible.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, Self::MAX).map(|()| Self(text.to_owned()))
    }

    /// Wraps a stored label. It passed the rules of its time.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the label as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key that all spellings of this label share.
    pub fn key(&self) -> String {
        match_key(&self.0)
    }

    /// Returns true if a reader can see at least one character. Labels of older releases may be invisible.
    pub fn is_visible(&self) -> bool {
        self.0.chars().any(is_visible)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A label that is equal to all of its other spellings. It is displayed as it was typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Label", into = "Label")]
pub struct MatchedLabel {
    typed: Label,
    key: String,
}

impl MatchedLabel {
    /// Returns the label as it was typed.
    pub const fn typed(&self) -> &Label {
        &self.typed
    }

    /// Returns the key that all spellings share.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl From<Label> for MatchedLabel {
    fn from(typed: Label) -> Self {
        Self { key: typed.key(), typed }
    }
}

impl From<MatchedLabel> for Label {
    fn from(label: MatchedLabel) -> Self {
        label.typed
    }
}

impl PartialEq for MatchedLabel {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for MatchedLabel {}

impl PartialOrd for MatchedLabel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MatchedLabel {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for MatchedLabel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for MatchedLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.typed.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_label_are_equal_and_displayed_as_typed() {
        let matched = |text: &str| MatchedLabel::from(Label::parse(text).expect("a label"));
        let (typed, other) = (matched(" Zürich"), matched("ZU\u{308}RICH"));
        assert_eq!(typed, other);
        assert_eq!((typed.to_string(), typed.key()), (" Zürich".to_owned(), "zürich"));
        assert_ne!(typed.typed(), other.typed());
        let json = serde_json::to_string(&typed).expect("it is written");
        assert_eq!(json, "\" Zürich\"");
        assert_eq!(serde_json::from_str::<MatchedLabel>(&json).expect("it is read").typed(), typed.typed());
    }
}
