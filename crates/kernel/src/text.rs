use crate::is_visible;

/// The reason why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// No character that a reader can see.
    #[error("must have at least one visible character")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A control character such as NUL, or a line break in a text of one line.
    #[error("must not contain control characters")]
    Control,
}

impl TextError {
    /// Returns the stable code of this refusal.
    pub const fn code(self) -> &'static str {
        match self {
            TextError::Empty => "empty",
            TextError::TooLong(_) => "too_long",
            TextError::Control => "control_character",
        }
    }
}

fn check(text: &str, max: usize, allowed: impl Fn(char) -> bool) -> Result<(), TextError> {
    if !text.chars().any(is_visible) {
        return Err(TextError::Empty);
    }
    if text.chars().count() > max {
        return Err(TextError::TooLong(max));
    }
    // Bidirectional marks are format characters, not control characters. They are allowed because names need
    // them.
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        return Err(TextError::Control);
    }
    Ok(())
}

/// Accepts a text of one line with at most `max` characters, at least one of them visible. The text is stored
/// unchanged.
pub fn line(text: &str, max: usize) -> Result<(), TextError> {
    // These end a line as `\n` does, although they are not control characters.
    if text.contains(['\u{2028}', '\u{2029}']) {
        return Err(TextError::Control);
    }
    check(text, max, |_| false)
}

/// Accepts a text of several lines with at most `max` characters, at least one of them visible. The text is
/// stored unchanged.
pub fn multiline(text: &str, max: usize) -> Result<(), TextError> {
    check(text, max, |c| matches!(c, '\n' | '\r' | '\t'))
}

/// Cuts `text` to `max` characters. The last of them is then an ellipsis.
pub fn clip(text: &mut String, max: usize) {
    if text.len() <= max || text.chars().nth(max).is_none() {
        return;
    }
    let kept = text.char_indices().nth(max.saturating_sub(1)).map_or(0, |(at, _)| at);
    text.truncate(kept);
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_and_bidirectional_marks_are_allowed() {
        assert_eq!(line("a\u{0}b", 10), Err(TextError::Control));
        assert_eq!(line("two\nlines", 10), Err(TextError::Control));
        assert_eq!(multiline("two\nlines", 10), Ok(()));
        assert_eq!(line("\u{202b}שלום\u{202c}", 10), Ok(()));
    }

    #[test]
    fn a_text_is_cut_between_two_characters_and_ends_with_an_ellipsis() {
        let cut = |text: &str, max| {
            let mut text = text.to_owned();
            clip(&mut text, max);
            text
        };
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("ÄÖÜ", 3), "ÄÖÜ");
        assert_eq!(cut("ÄÖÜß", 3), "ÄÖ…");
        assert_eq!(cut("abcd", 3), "ab…");
    }

    #[test]
    fn a_text_without_a_visible_character_is_empty() {
        for nothing in ["", " ", "\u{200e}\u{200b}", "\u{3164}", "\u{2800}", "\u{feff}\u{ad}"] {
            assert_eq!(line(nothing, 10), Err(TextError::Empty), "{nothing:?}");
            assert_eq!(multiline(nothing, 10), Err(TextError::Empty), "{nothing:?}");
        }
        assert_eq!(line("\u{200e}a", 10), Ok(()));
    }

    #[test]
    fn a_line_separator_is_refused_in_a_text_of_one_line() {
        for separator in ["a\u{2028}b", "a\u{2029}b"] {
            assert_eq!(line(separator, 10), Err(TextError::Control));
            assert_eq!(multiline(separator, 10), Ok(()));
        }
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert_eq!(line("ÄÖÜ", 3), Ok(()));
        assert_eq!(line("ÄÖÜß", 3), Err(TextError::TooLong(3)));
        assert_eq!(line("  ", 3), Err(TextError::Empty));
    }
}
