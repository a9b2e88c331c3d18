use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kernel::{ArticleId, Section, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Filter, Order, Position, Scope, Start};

/// The current form of a cursor.
const FORM: u8 = 1;
/// Form, direction, excluded sections, moment, article, fingerprint.
const LENGTH: usize = 1 + 1 + 1 + 8 + 16 + 8;

/// The point at which a walk through a list continues. Its text is opaque to clients and contains no secret:
/// a client that invents a cursor continues at another position of a list that it may read anyway.
///
/// It names a *position*, not an article and not a number of articles, so that nothing is skipped or repeated
/// when articles are added or removed. It also contains a fingerprint of the list, because the position has
/// no meaning with another filter or order.
///
/// If a page was made without a section, its cursor excludes that section: the rest of the walk is without it
/// too, and every page names it as missing. Otherwise the section's articles up to this position would be
/// skipped silently once it has recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The direction from the position.
    pub direction: Direction,
    /// The position.
    pub position: Position,
    /// The sections that this walk leaves out.
    pub excluded: Vec<Section>,
}

/// The direction in which a walk continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Direction the end of the list.
    Next,
    /// Direction its beginning.
    Previous,
}

/// The fault of a text that is not a cursor, or that belongs to another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list; start again without a cursor")]
pub struct InvalidCursor;

/// The identity of the list that a cursor belongs to: its sections, filter and order. The size of a page and
/// the fields of its articles may change during a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListFingerprint([u8; 8]);

impl ListFingerprint {
    /// Computes the fingerprint of a list.
    pub fn of(scope: Scope, filter: &Filter, order: Order) -> Self {
        let Filter { label, author, author_id, from, to, states } = filter;
        let mut digest = Sha256::new();
        // Each part is preceded by its length, so that two different lists never have the same bytes.
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
    /// Returns the start of the slice that the cursor points at.
    pub fn start(&self) -> Start {
        match self.direction {
            Direction::Next => Start::After(self.position),
            Direction::Previous => Start::Before(self.position),
        }
    }

    /// Encodes the cursor for the list with this fingerprint.
    pub fn encode(&self, list: ListFingerprint) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORM);
        bytes.push(matches!(self.direction, Direction::Previous).into());
        bytes.push(self.excluded.iter().fold(0, |bits, section| bits | (1 << *section as u8)));
        bytes.extend(self.position.at.millis().to_be_bytes());
        bytes.extend(self.position.id.uuid().as_bytes());
        bytes.extend(list.0);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a text that [`Cursor::encode`] returned for the same list.
    pub fn decode(text: &str, list: ListFingerprint, scope: Scope) -> Result<Self, InvalidCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| InvalidCursor)?;
        let [form, direction, excluded_bits, rest @ ..] = bytes;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        let (id, fingerprint) = rest.split_first_chunk::<16>().ok_or(InvalidCursor)?;
        let direction = match direction {
            0 => Direction::Next,
            1 => Direction::Previous,
            _ => return Err(InvalidCursor),
        };
        let excluded: Vec<Section> =
            Section::ALL.into_iter().filter(|section| excluded_bits & (1 << *section as u8) != 0).collect();
        // It is invalid if it has another form, belongs to another list, excludes a section that the list
        // does not have, or excludes all of its sections.
        let known = excluded.iter().fold(0, |bits, section| bits | (1 << *section as u8)) == excluded_bits;
        let sections = scope.sections();
        let is_partial =
            excluded.iter().all(|section| sections.contains(section)) && excluded.len() < sections.len();
        if form != FORM || fingerprint != list.0 || !known || !is_partial {
            return Err(InvalidCursor);
        }
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        let position = Position { at, id: ArticleId::new(Uuid::from_bytes(*id)) };
        Ok(Self { direction, position, excluded })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::State;

    fn list() -> ListFingerprint {
        ListFingerprint::of(Scope::All, &Filter::default(), Order::Newest)
    }

    prop_compose! {
        fn cursors()(back: bool, at: i64, id: u128, excluded_bits in 0u8..7) -> Cursor {
            let excluded = Section::ALL.into_iter().filter(|section| excluded_bits & (1 << *section as u8) != 0).collect();
            let position = Position { at: Timestamp::from_millis(at), id: ArticleId::new(Uuid::from_u128(id)) };
            Cursor { direction: if back { Direction::Previous } else { Direction::Next }, position, excluded }
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_decoded_as_it_was_encoded(cursor in cursors()) {
            let text = cursor.encode(list());
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(Cursor::decode(&text, list(), Scope::All), Ok(cursor));
        }

        #[test]
        fn any_other_text_is_refused(text in ".{0,80}") {
            prop_assert_eq!(Cursor::decode(&text, list(), Scope::All), Err(InvalidCursor));
        }

        #[test]
        fn a_cursor_with_a_changed_byte_in_its_head_or_fingerprint_is_refused(cursor in cursors(), index in 0usize..10, bits in 1u8..=255) {
            let index = if index < 2 { index } else { LENGTH - 10 + index };
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor.encode(list())).expect("base64");
            bytes[index] ^= if index == 1 { bits | 2 } else { bits };
            prop_assert_eq!(Cursor::decode(&BASE64_URL_SAFE_NO_PAD.encode(bytes), list(), Scope::All), Err(InvalidCursor));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let position = Position { at: Timestamp::from_millis(5), id: ArticleId::new(Uuid::from_u128(7)) };
        let cursor = Cursor { direction: Direction::Next, position, excluded: Vec::new() };
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
                lists.extend(Order::ALL.map(|order| (scope, ListFingerprint::of(scope, filter, order))));
            }
        }
        for (at, (_, one)) in lists.iter().enumerate() {
            for (other_at, (scope, other)) in lists.iter().enumerate() {
                let read = Cursor::decode(&cursor.encode(*one), *other, *scope);
                assert_eq!(read.is_ok(), at == other_at);
            }
        }
        // The order of the states does not make another list.
        let drafts = [State::new("draft"), State::published()];
        let reversed = Filter { states: drafts.iter().rev().cloned().collect(), ..Filter::default() };
        let straight = Filter { states: drafts.to_vec(), ..Filter::default() };
        assert_eq!(
            ListFingerprint::of(Scope::All, &reversed, Order::Newest),
            ListFingerprint::of(Scope::All, &straight, Order::Newest)
        );
    }

    #[test]
    fn a_cursor_that_excludes_every_section_is_refused() {
        let position = Position { at: Timestamp::from_millis(5), id: ArticleId::new(Uuid::from_u128(7)) };
        let excluded = |excluded: Vec<Section>| Cursor { direction: Direction::Next, position, excluded };
        let all = excluded(Section::ALL.to_vec()).encode(list());
        assert_eq!(Cursor::decode(&all, list(), Scope::All), Err(InvalidCursor));
        let scope = Scope::One(Section::Sports);
        let sports = ListFingerprint::of(scope, &Filter::default(), Order::Newest);
        let elsewhere = excluded(vec![Section::Famous]).encode(sports);
        assert_eq!(Cursor::decode(&elsewhere, sports, scope), Err(InvalidCursor));
    }
}
