//! The audit: who did what to which account, when, and from which network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kernel::{Role, Timestamp, UserId};
use sha2::{Digest as _, Sha256};

use super::Consent;

/// The kind of an entry. The names are stored and served, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditKind {
    /// The account got this role, or other sections in which it has the role.
    Role(Role),
    /// The person allowed the portal to choose news by their tastes.
    PersonalisationAllowed,
    /// The person took this permission back.
    PersonalisationWithdrawn,
    /// The person allowed the portal to store what they read.
    HistoryAllowed,
    /// The person took this permission back.
    HistoryWithdrawn,
    /// A login.
    SessionBegun,
    /// A session ended before its time: a log-out, a new password, one session too many, a token used twice.
    SessionEnded,
    /// The account got a new password.
    PasswordChanged,
    /// The account got another e-mail address.
    EmailChanged,
    /// The person requested an export of their data.
    ExportRequested,
    /// The account was erased.
    Erased,
    /// An admin looked at the labels that the person likes.
    LabelsViewed,
}

impl AuditKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Role(Role::Reader),
        Self::Role(Role::Author),
        Self::Role(Role::Editor),
        Self::Role(Role::Admin),
        Self::PersonalisationAllowed,
        Self::PersonalisationWithdrawn,
        Self::HistoryAllowed,
        Self::HistoryWithdrawn,
        Self::SessionBegun,
        Self::SessionEnded,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::ExportRequested,
        Self::Erased,
        Self::LabelsViewed,
    ];

    /// Returns the name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role(Role::Reader) => "role_reader",
            Self::Role(Role::Author) => "role_author",
            Self::Role(Role::Editor) => "role_editor",
            Self::Role(Role::Admin) => "role_admin",
            Self::PersonalisationAllowed => "personalisation_allowed",
            Self::PersonalisationWithdrawn => "personalisation_withdrawn",
            Self::HistoryAllowed => "history_allowed",
            Self::HistoryWithdrawn => "history_withdrawn",
            Self::SessionBegun => "session_begun",
            Self::SessionEnded => "session_ended",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::ExportRequested => "export_requested",
            Self::Erased => "erased",
            Self::LabelsViewed => "labels_viewed",
        }
    }

    /// Returns the kinds of a change of consent: one for each permission that was given or taken back.
    pub fn of_consent(before: &Consent, after: &Consent) -> Vec<Self> {
        let change = |before: bool, after: bool, allowed, withdrawn| {
            (before != after).then_some(if after { allowed } else { withdrawn })
        };
        let (before, after) = (before.choice, after.choice);
        let personalisation = change(
            before.personalisation,
            after.personalisation,
            Self::PersonalisationAllowed,
            Self::PersonalisationWithdrawn,
        );
        let history = change(before.history, after.history, Self::HistoryAllowed, Self::HistoryWithdrawn);
        personalisation.into_iter().chain(history).collect()
    }
}

/// A text that is not the name of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a kind, such as session_begun")]
pub struct UnknownKind;

impl FromStr for AuditKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownKind)
    }
}

/// The network of an address: the first 24 bits of IPv4, the first 48 of IPv6. It says from which region and
/// provider a request came, and does not name a household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network of an address; `None` for the address of a request that came over no connection.
    pub fn of(address: IpAddr) -> Option<Self> {
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        };
        (!address.is_unspecified()).then_some(Self(network))
    }

    /// Reads a network that was stored before.
    pub fn stored(text: &str) -> Option<Self> {
        let (address, _) = text.split_once('/')?;
        address.parse().ok().map(Self)
    }
}

/// Such as `192.0.2.0/24` or `2001:db8:1::/48`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

/// The origin of a change: who makes it, from which network, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The account that acts; `None` for the portal itself and its operator.
    pub actor: Option<UserId>,
    /// The network of the request.
    pub network: Option<Network>,
    /// The time.
    pub at: Timestamp,
}

impl Origin {
    /// Returns the origin of a change that the portal itself or its operator makes.
    pub fn portal(at: Timestamp) -> Self {
        Self { actor: None, network: None, at }
    }
}

/// An entry of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place among the entries of the same moment. It grows with every entry.
    pub position: i64,
    /// The actor, the network and the time. The network of an erased person is removed.
    pub origin: Origin,
    /// The account that it was done to.
    pub subject: UserId,
    /// The kind.
    pub kind: AuditKind,
}

/// The filter of a list of entries. An absent field lets every entry pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only entries of this actor.
    pub actor: Option<UserId>,
    /// Only entries about this account.
    pub subject: Option<UserId>,
    /// Only entries of this kind.
    pub kind: Option<AuditKind>,
    /// Only entries of this time or later.
    pub from: Option<Timestamp>,
    /// Only entries of this time or earlier.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns 8 bytes that differ for different filters, for cursors.
    fn fingerprint(&self) -> [u8; 8] {
        let mut digest = Sha256::new();
        let mut add = |part: Option<&[u8]>| {
            digest.update([u8::from(part.is_some())]);
            digest.update(part.unwrap_or_default());
        };
        for id in [self.actor, self.subject] {
            add(id.map(|id| id.uuid().into_bytes()).as_ref().map(<[u8; 16]>::as_slice));
        }
        for at in [self.from, self.to] {
            add(at.map(|at| at.millis().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice));
        }
        add(self.kind.map(|kind| kind.as_str().as_bytes()));
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&digest.finalize()[..8]);
        fingerprint
    }
}

/// The position after which a list continues, the newest entry first. Its text is opaque to clients, holds no
/// secret, and is bound to the filter of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor {
    /// The time of the last entry that was listed.
    pub at: Timestamp,
    /// Its position.
    pub position: i64,
}

/// A text that is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The cursor does not belong to this list: start again without a cursor.")]
pub struct InvalidCursor;

/// The form, the time, the position, the fingerprint of the filter.
const CURSOR_LENGTH: usize = 1 + 8 + 8 + 8;
/// The current form of a cursor.
const CURSOR_FORM: u8 = 1;

impl AuditCursor {
    /// Returns the position of an entry.
    pub fn of(entry: &AuditEntry) -> Self {
        Self { at: entry.origin.at, position: entry.position }
    }

    /// Encodes the cursor for the list of this filter.
    pub fn encode(&self, filter: &AuditFilter) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_LENGTH);
        bytes.push(CURSOR_FORM);
        bytes.extend(self.at.millis().to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
        bytes.extend(filter.fingerprint());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a text that [`AuditCursor::encode`] returned for the same filter.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn decode(text: &str, filter: &AuditFilter) -> Result<Self, InvalidCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let bytes: [u8; CURSOR_LENGTH] = bytes.try_into().map_err(|_| InvalidCursor)?;
        let [form, rest @ ..] = bytes;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        let (position, fingerprint) = rest.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        if form != CURSOR_FORM || fingerprint != filter.fingerprint() {
            return Err(InvalidCursor);
        }
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        Ok(Self { at, position: i64::from_be_bytes(*position) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ConsentChoice;

    fn network(address: &str) -> Option<String> {
        Network::of(address.parse().expect("an address")).map(|network| network.to_string())
    }

    #[test]
    fn an_address_is_cut_to_24_bits_of_ipv4_or_48_bits_of_ipv6() {
        for (address, expected) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            let text = network(address).expect("a network");
            assert_eq!(text, expected);
            assert_eq!(Network::stored(&text).map(|network| network.to_string()).as_deref(), Some(expected));
        }
        assert_eq!((network("0.0.0.0"), network("::")), (None, None));
        assert_eq!(Network::stored("nonsense"), None);
    }

    #[test]
    fn the_name_of_each_kind_is_read_back() {
        for kind in AuditKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("role_king".parse::<AuditKind>(), Err(UnknownKind));
    }

    #[test]
    fn a_change_of_consent_names_each_permission_that_changed() {
        let now = Timestamp::from_millis(1);
        let choice = |personalisation, history| ConsentChoice { personalisation, history };
        let none = Consent::default();
        let both = none.changed_to(choice(true, true), now).expect("a change");
        let one = both.changed_to(choice(true, false), now).expect("a change");
        let allowed = [AuditKind::PersonalisationAllowed, AuditKind::HistoryAllowed];
        assert_eq!(AuditKind::of_consent(&none, &both), allowed);
        assert_eq!(AuditKind::of_consent(&both, &one), [AuditKind::HistoryWithdrawn]);
    }

    #[test]
    fn a_cursor_is_read_back_for_its_own_filter_only() {
        let subject = Some(UserId::new(uuid::Uuid::from_u128(1)));
        let filter = AuditFilter { subject, ..AuditFilter::default() };
        let cursor = AuditCursor { at: Timestamp::from_millis(77), position: 5 };
        let text = cursor.encode(&filter);
        assert_eq!(AuditCursor::decode(&text, &filter), Ok(cursor));
        let others = [
            AuditFilter::default(),
            AuditFilter { actor: subject, ..AuditFilter::default() },
            AuditFilter { kind: Some(AuditKind::Erased), ..filter },
            AuditFilter { from: Some(Timestamp::from_millis(1)), ..filter },
            AuditFilter { to: Some(Timestamp::from_millis(1)), ..filter },
        ];
        for other in others {
            assert_eq!(AuditCursor::decode(&text, &other), Err(InvalidCursor), "{other:?}");
        }
    }
}
