use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kernel::{ArticleId, Section, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Filter, Order, Position, Scope, Start};

/// The form that is written today.
const FORM: u8 = 1;
/// Form, direction, sections left out, moment, article, fingerprint.
const LENGTH: usize = 1 + 1 + 1 + 8 + 16 + 8;

/// Where a walk through a list goes on. What is written is opaque to clients and holds no secret: whoever makes one up begins
/// somewhere else in a list that they could read anyway.
///
/// It names a *place*, not an article and not a number of articles, so that nothing is skipped or repeated when others come or go. And it
/// names the list by a fingerprint: with another filter or order the place would mean nothing.
///
/// A page that had to be made without a section says so, and so does its cursor: the rest of the walk is without that section too, and
/// every page of it says that it is missing. Else the section's articles up to here would be skipped in silence as soon as it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whether it goes on after a place or back before it.
    pub toward: Toward,
    /// The place.
    pub place: Position,
    /// The sections that this walk is without.
    pub without: Vec<Section>,
}

/// In which direction a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// To the end of the list.
    Next,
    /// To its beginning.
    Previous,
}

/// The text is no cursor, or one of another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of this list; begin without one")]
pub struct BadCursor;

/// The list that a cursor belongs to: its sections, filter and order. How many articles a page has, and what is told of each, may change
/// on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of this list.
    pub fn of(scope: Scope, filter: &Filter, order: Order) -> Self {
        let Filter { label, author, author_id, from, to, states } = filter;
        let mut digest = Sha256::new();
        // Each part with its length: no two lists run together.
        let mut add = |part: Option<&[u8]>| {
            digest.update(part.map_or(-1, |part| part.len() as i64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        };
        let moment = |at: &Option<Timestamp>| at.map(|at| at.millis().to_be_bytes());
        add(Some(scope.as_str().as_bytes()));
        add(Some(order.as_str().as_bytes()));
        add(label.as_ref().map(String::as_bytes));
        add(author.as_ref().map(String::as_bytes));
        add(author_id.as_ref().map(|id| id.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice));
        for at in [moment(from), moment(to)] {
            add(at.as_ref().map(<[u8; 8]>::as_slice));
        }
        let mut states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        states.sort_unstable();
        states.dedup();
        states.into_iter().for_each(|state| add(Some(state.as_bytes())));
        let digest = digest.finalize();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&digest[..8]);
        Self(fingerprint)
    }
}

impl Cursor {
    /// The part of the list that it points at.
    pub fn start(&self) -> Start {
        match self.toward {
            Toward::Next => Start::After(self.place),
            Toward::Previous => Start::Before(self.place),
        }
    }

    /// The cursor as text for the list with this fingerprint.
    pub fn write(&self, list: Fingerprint) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORM);
        bytes.push(matches!(self.toward, Toward::Previous).into());
        bytes.push(self.without.iter().fold(0, |bits, section| bits | (1 << *section as u8)));
        bytes.extend(self.place.at.millis().to_be_bytes());
        bytes.extend(self.place.id.uuid().as_bytes());
        bytes.extend(list.0);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Cursor::write`] wrote for the same list.
    pub fn read(text: &str, list: Fingerprint, scope: Scope) -> Result<Self, BadCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| BadCursor)?;
        let [form, direction, left_out, rest @ ..] = bytes;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(BadCursor)?;
        let (id, fingerprint) = rest.split_first_chunk::<16>().ok_or(BadCursor)?;
        let toward = match direction {
            0 => Toward::Next,
            1 => Toward::Previous,
            _ => return Err(BadCursor),
        };
        let without: Vec<Section> =
            Section::ALL.into_iter().filter(|section| left_out & (1 << *section as u8) != 0).collect();
        // One of another form, of another list, or one that leaves out what the list does not have or all that it has.
        let known = without.iter().fold(0, |bits, section| bits | (1 << *section as u8)) == left_out;
        let sections = scope.sections();
        let sensible =
            without.iter().all(|section| sections.contains(section)) && without.len() < sections.len();
        if form != FORM || fingerprint != list.0 || !known || !sensible {
            return Err(BadCursor);
        }
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        let place = Position { at, id: ArticleId::new(Uuid::from_bytes(*id)) };
        Ok(Self { toward, place, without })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::State;

    fn list() -> Fingerprint {
        Fingerprint::of(Scope::All, &Filter::default(), Order::Newest)
    }

    prop_compose! {
        fn cursors()(back: bool, at: i64, id: u128, left_out in 0u8..7) -> Cursor {
            let without = Section::ALL.into_iter().filter(|section| left_out & (1 << *section as u8) != 0).collect();
            let place = Position { at: Timestamp::from_millis(at), id: ArticleId::new(Uuid::from_u128(id)) };
            Cursor { toward: if back { Toward::Previous } else { Toward::Next }, place, without }
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back_as_it_was_written(cursor in cursors()) {
            let text = cursor.write(list());
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(Cursor::read(&text, list(), Scope::All), Ok(cursor));
        }

        #[test]
        fn whatever_is_no_cursor_is_refused(text in ".{0,80}") {
            prop_assert_eq!(Cursor::read(&text, list(), Scope::All), Err(BadCursor));
        }

        #[test]
        fn a_cursor_with_another_byte_in_its_head_or_fingerprint_is_refused(cursor in cursors(), place in 0usize..10, bits in 1u8..=255) {
            let place = if place < 2 { place } else { LENGTH - 10 + place };
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor.write(list())).expect("base64");
            bytes[place] ^= if place == 1 { bits | 2 } else { bits };
            prop_assert_eq!(Cursor::read(&BASE64_URL_SAFE_NO_PAD.encode(bytes), list(), Scope::All), Err(BadCursor));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let place = Position { at: Timestamp::from_millis(5), id: ArticleId::new(Uuid::from_u128(7)) };
        let cursor = Cursor { toward: Toward::Next, place, without: Vec::new() };
        let id = kernel::UserId::new(Uuid::from_u128(1));
        let at = Timestamp::from_millis(1);
        let text = |label: &str| Some(label.to_owned());
        let filters = [
            Filter::default(),
            Filter { label: text("a"), ..Filter::default() },
            Filter { label: text("b"), ..Filter::default() },
            Filter { author: text("a"), ..Filter::default() },
            Filter { author_id: Some(id), ..Filter::default() },
            Filter { from: Some(at), ..Filter::default() },
            Filter { to: Some(at), ..Filter::default() },
            Filter { states: vec![State::new("draft")], ..Filter::default() },
            Filter { states: vec![State::new("draft"), State::published()], ..Filter::default() },
        ];
        let scopes = [Scope::All, Scope::One(Section::Famous), Scope::One(Section::Sports)];
        let mut lists = Vec::new();
        for scope in scopes {
            for filter in &filters {
                lists.extend(Order::ALL.map(|order| (scope, Fingerprint::of(scope, filter, order))));
            }
        }
        for (at, (_, one)) in lists.iter().enumerate() {
            for (other_at, (scope, other)) in lists.iter().enumerate() {
                let read = Cursor::read(&cursor.write(*one), *other, *scope);
                assert_eq!(read.is_ok(), at == other_at);
            }
        }
        // The order of the states' names is no other list.
        let drafts = [State::new("draft"), State::published()];
        let turned = Filter { states: drafts.iter().rev().cloned().collect(), ..Filter::default() };
        let straight = Filter { states: drafts.to_vec(), ..Filter::default() };
        assert_eq!(
            Fingerprint::of(Scope::All, &turned, Order::Newest),
            Fingerprint::of(Scope::All, &straight, Order::Newest)
        );
    }

    #[test]
    fn a_walk_without_every_section_is_no_walk() {
        let place = Position { at: Timestamp::from_millis(5), id: ArticleId::new(Uuid::from_u128(7)) };
        let without = |without: Vec<Section>| Cursor { toward: Toward::Next, place, without };
        let all = without(Section::ALL.to_vec()).write(list());
        assert_eq!(Cursor::read(&all, list(), Scope::All), Err(BadCursor));
        let scope = Scope::One(Section::Sports);
        let sports = Fingerprint::of(scope, &Filter::default(), Order::Newest);
        let elsewhere = without(vec![Section::Famous]).write(sports);
        assert_eq!(Cursor::read(&elsewhere, sports, scope), Err(BadCursor));
    }
}
