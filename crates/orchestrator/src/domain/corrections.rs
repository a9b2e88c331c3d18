use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kernel::{ArticleId, Section, Timestamp, Version};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Correction, InvalidCursor, Scope};

/// A public correction, with the article that was corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleCorrection {
    /// The section of the article.
    pub section: Section,
    /// The article.
    pub id: ArticleId,
    /// Its present title.
    pub title: String,
    /// The readable part of its address.
    pub slug: String,
    /// The correction.
    pub correction: Correction,
}

impl ArticleCorrection {
    /// Returns its position in the list.
    pub fn position(&self) -> CorrectionPosition {
        CorrectionPosition { at: self.correction.at, id: self.id, version: self.correction.version }
    }
}

/// A position in the list of corrections, which begins with the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CorrectionPosition {
    /// The moment of the correction.
    pub at: Timestamp,
    /// The article.
    pub id: ArticleId,
    /// The version that contains the correction.
    pub version: Version,
}

/// The filter of the list of corrections. An absent field lets every correction pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorrectionFilter {
    /// The kind.
    pub kind: Option<String>,
    /// The earliest moment.
    pub from: Option<Timestamp>,
    /// The latest moment.
    pub to: Option<Timestamp>,
}

/// A slice of the list of corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionSlice {
    /// The filter.
    pub filter: CorrectionFilter,
    /// Only corrections after this position; `None` begins with the newest.
    pub after: Option<CorrectionPosition>,
    /// The most corrections.
    pub limit: u32,
}

/// The current form of a cursor.
const FORM: u8 = 1;
/// Form, excluded sections, moment, article, version, fingerprint.
const LENGTH: usize = 1 + 1 + 8 + 16 + 4 + 8;

/// The point at which a walk through the corrections continues. It is opaque to clients, as the cursor of a
/// list of articles is, and excludes the sections that were missing from a page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionCursor {
    /// The position.
    pub position: CorrectionPosition,
    /// The sections that this walk leaves out.
    pub excluded: Vec<Section>,
}

impl CorrectionCursor {
    /// Encodes the cursor for the list with this filter.
    pub fn encode(&self, scope: Scope, filter: &CorrectionFilter) -> String {
        let CorrectionPosition { at, id, version } = self.position;
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORM);
        bytes.push(bits(&self.excluded));
        bytes.extend(at.millis().to_be_bytes());
        bytes.extend(id.uuid().as_bytes());
        bytes.extend(version.number().to_be_bytes());
        bytes.extend(fingerprint(scope, filter));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a text that [`CorrectionCursor::encode`] returned for the same list.
    ///
    /// # Errors
    /// [`InvalidCursor`] for every other text.
    pub fn decode(text: &str, scope: Scope, filter: &CorrectionFilter) -> Result<Self, InvalidCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| InvalidCursor)?;
        let [form, excluded_bits, rest @ ..] = bytes;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        let (id, rest) = rest.split_first_chunk::<16>().ok_or(InvalidCursor)?;
        let (version, list) = rest.split_first_chunk::<4>().ok_or(InvalidCursor)?;
        let sections = scope.sections();
        let is_excluded = |section: &Section| excluded_bits & bit(*section) != 0;
        let excluded: Vec<Section> = sections.iter().copied().filter(is_excluded).collect();
        let is_known = bits(&excluded) == excluded_bits && excluded.len() < sections.len();
        if form != FORM || list != fingerprint(scope, filter) || !is_known {
            return Err(InvalidCursor);
        }
        let position = CorrectionPosition {
            at: Timestamp::from_millis(i64::from_be_bytes(*at)),
            id: ArticleId::new(Uuid::from_bytes(*id)),
            version: Version::new(u32::from_be_bytes(*version)),
        };
        Ok(Self { position, excluded })
    }
}

fn bit(section: Section) -> u8 {
    1 << section as u8
}

fn bits(sections: &[Section]) -> u8 {
    sections.iter().fold(0, |bits, section| bits | bit(*section))
}

/// Returns the fingerprint of a list of corrections: its sections and its filter.
fn fingerprint(scope: Scope, filter: &CorrectionFilter) -> [u8; 8] {
    let CorrectionFilter { kind, from, to } = filter;
    let text = format!("corrections {} {kind:?} {from:?} {to:?}", scope.as_str());
    let digest = Sha256::digest(text);
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(&digest[..8]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> CorrectionCursor {
        let position = CorrectionPosition {
            at: Timestamp::from_millis(1_763_712_000_123),
            id: ArticleId::new(Uuid::from_u128(7)),
            version: Version::new(4),
        };
        CorrectionCursor { position, excluded: vec![Section::Sports] }
    }

    #[test]
    fn a_cursor_is_read_back_for_its_own_list_and_for_no_other() {
        let notes = CorrectionFilter { kind: Some("note".to_owned()), ..CorrectionFilter::default() };
        let all = CorrectionFilter::default();
        let text = cursor().encode(Scope::All, &notes);
        assert_eq!(CorrectionCursor::decode(&text, Scope::All, &notes), Ok(cursor()));
        assert_eq!(CorrectionCursor::decode(&text, Scope::All, &all), Err(InvalidCursor));
        let other = Scope::One(Section::Famous);
        assert_eq!(CorrectionCursor::decode(&text, other, &notes), Err(InvalidCursor));
        for text in ["", "x", "AAAA", &format!("{text}A")] {
            assert_eq!(CorrectionCursor::decode(text, Scope::All, &notes), Err(InvalidCursor));
        }
    }

    #[test]
    fn a_cursor_that_excludes_every_section_is_invalid() {
        let cursor = CorrectionCursor { excluded: Section::ALL.to_vec(), ..cursor() };
        let all = CorrectionFilter::default();
        let text = cursor.encode(Scope::All, &all);
        assert_eq!(CorrectionCursor::decode(&text, Scope::All, &all), Err(InvalidCursor));
    }
}
