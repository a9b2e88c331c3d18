use kernel::{Identity, TextError, UserId, cut, line, nfc};

/// The name under which an article appears. It is text like the title, or the name of an account. The name of
/// an account is personal data, so bylines stand beside the events and not in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byline {
    text: String,
    of: Option<UserId>,
}

impl Byline {
    const MAX: usize = 50;

    /// Checks a typed byline: one line of 1 to 50 characters. It belongs to no account.
    ///
    /// # Errors
    /// [`TextError`], if it is not such a line.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, Self::MAX).map(|()| Self { text: text.to_owned(), of: None })
    }

    /// Makes the byline of an account out of its name, which may be longer: what fits into 50 characters.
    pub fn of(name: &str, account: UserId) -> Self {
        Self { text: cut(name, Self::MAX).to_owned(), of: Some(account) }
    }

    /// Wraps a byline that was stored before, with the account whose name it is or was: the text is empty
    /// after an erasure.
    pub fn stored(text: String, of: Option<UserId>) -> Self {
        Self { text, of }
    }

    /// Returns the byline that `writer` gives to an article whose byline is `now`. Without a text the byline
    /// stays; a new article gets the name of the writer's account.
    ///
    /// A client can send back the byline that it has read: that changes nothing, even if the byline is empty
    /// after an erasure. The writer's own name belongs to the writer's account, whether it was typed or came
    /// from the account.
    ///
    /// # Errors
    /// [`TextError`], if the text is another one and not a byline.
    pub fn by_writer(text: Option<&str>, now: Option<&Self>, writer: &Identity) -> Result<Self, TextError> {
        let own = Self::of(&writer.name, writer.user);
        let Some(text) = text else { return Ok(now.cloned().unwrap_or(own)) };
        if let Some(now) = now.filter(|now| nfc(&now.text) == nfc(text)) {
            return Ok(now.clone());
        }
        let byline = Self::parse(text)?;
        let of = own.of.filter(|_| nfc(text.trim()) == nfc(&own.text));
        Ok(Self { of, ..byline })
    }

    /// Returns the byline as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the account whose name it is; `None` if it is text, which no erasure removes.
    pub fn owner(&self) -> Option<UserId> {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn named(name: &str) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(7)),
            name: name.to_owned(),
            role: kernel::Role::Author,
            sections: kernel::Sections::All,
            history: false,
            session: kernel::SessionId::new(Uuid::nil()),
        }
    }

    #[test]
    fn a_long_account_name_is_cut_to_a_byline_between_its_characters() {
        let of = |name: &str| Byline::of(name, named("").user).text;
        assert_eq!(of(&"Ä".repeat(100)), "Ä".repeat(50));
        assert_eq!(of(&format!("{} e\u{301}", "x".repeat(48))), "x".repeat(48));
        assert_eq!(of("  Ada Lovelace "), "Ada Lovelace");
        assert_eq!(Byline::parse(&"x".repeat(51)), Err(TextError::TooLong(50)));
    }

    #[test]
    fn a_byline_is_an_account_s_if_it_is_its_name_and_text_otherwise() {
        let ada = named("Zoe\u{308} Ada");
        let typed = |text: &str, now: Option<&Byline>| Byline::by_writer(Some(text), now, &ada);
        let own = typed(" Zoë Ada", None).expect("a byline");
        assert_eq!((own.as_str(), own.owner()), (" Zoë Ada", Some(ada.user)));
        assert_eq!(Byline::by_writer(None, None, &ada), Ok(Byline::of(&ada.name, ada.user)));
        let text = typed("Newsroom", Some(&own)).expect("a byline");
        assert_eq!((text.as_str(), text.owner()), ("Newsroom", None));
        assert_eq!(Byline::by_writer(None, Some(&text), &ada), Ok(text));
    }

    #[test]
    fn a_byline_that_was_read_can_be_written_back() {
        let other = UserId::new(Uuid::from_u128(8));
        for now in [Byline::of("Zoë", other), Byline::stored(String::new(), Some(other))] {
            assert_eq!(Byline::by_writer(Some(now.as_str()), Some(&now), &named("Ada")), Ok(now));
        }
        assert_eq!(
            Byline::by_writer(Some(""), Some(&Byline::of("Zoë", other)), &named("Ada")),
            Err(TextError::Empty)
        );
        assert_eq!(Byline::by_writer(Some(""), None, &named("Ada")), Err(TextError::Empty));
    }
}
