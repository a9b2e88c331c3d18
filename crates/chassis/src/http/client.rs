//! The client at the other end: its address and how it reached the portal, also if it comes through a proxy.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forwarded::{self, Hop};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme of the URL that the client used, as a trusted proxy names it. The edge removes what others claim, so a handler
/// may believe it.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host of the URL that the client used, likewise.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address of the client: that of the connection, or the one that a trusted proxy names. `0.0.0.0` if the request came over no
/// connection. Requests are counted by this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request without a connection.
    pub(super) const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Reads it from a request, believing `proxies` and nobody else. What the headers say beside it is left in the request only if
    /// a trusted proxy said it.
    pub(super) fn of(request: &mut Request, proxies: &TrustedProxies) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let seen = peer.map(|peer| proxies.seen(peer, request.headers()));
        let headers = request.headers_mut();
        headers.remove(forwarded::FORWARDED);
        for (name, value) in [
            (X_FORWARDED_PROTO, seen.as_ref().and_then(|seen| seen.scheme)),
            (X_FORWARDED_HOST, seen.as_ref().and_then(|seen| seen.host.as_deref())),
        ] {
            match value.and_then(|value| HeaderValue::from_str(value).ok()) {
                Some(value) => {
                    headers.insert(name, value);
                }
                None => {
                    headers.remove(name);
                }
            }
        }
        seen.map_or(Self::UNKNOWN, |seen| Self(seen.client))
    }

    /// Returns the address that the edge found, or [`Self::UNKNOWN`] without an edge.
    pub(super) fn of_extensions(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or(Self::UNKNOWN)
    }

    /// Returns the address if the request came over a connection.
    pub(super) fn known(self) -> Option<IpAddr> {
        (self != Self::UNKNOWN).then_some(self.0)
    }
}

/// The unit that limits count by: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one household has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(IpAddr);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// What is known of a client.
struct Seen {
    client: IpAddr,
    /// The scheme of the URL that it used.
    scheme: Option<&'static str>,
    /// The host of that URL.
    host: Option<String>,
}

/// The proxies whose `X-Forwarded-For` (or `Forwarded`) is believed: addresses and networks, as `["10.0.0.7", "fd00::/8"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The client behind `peer`, and how it reached the proxies. Each proxy adds the address that it saw at the right end, so the
    /// entries are read from there for as long as they were written by a proxy that is trusted; what stands further left a client may
    /// have made up. `X-Forwarded-…` goes before `Forwarded`: a proxy that writes the former may pass on a client's own `Forwarded`.
    fn seen(&self, peer: IpAddr, headers: &HeaderMap) -> Seen {
        let mut seen = Seen { client: peer.to_canonical(), scheme: None, host: None };
        if !self.trusts(seen.client) {
            if headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(forwarded::FORWARDED) {
                hint(seen.client);
            }
            return seen;
        }
        let hops =
            if headers.contains_key(X_FORWARDED_FOR) { listed(headers) } else { forwarded::hops(headers) };
        for hop in hops.into_iter().rev() {
            if !self.trusts(seen.client) {
                break;
            }
            (seen.scheme, seen.host) = (hop.scheme.or(seen.scheme), hop.host.or(seen.host));
            match hop.client {
                Some(before) => seen.client = before,
                // One that names nobody: then all that is known is who passed it on.
                None => break,
            }
        }
        let first = |name: &HeaderName| headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim);
        seen.scheme = first(&X_FORWARDED_PROTO).and_then(forwarded::scheme).or(seen.scheme);
        seen.host = first(&X_FORWARDED_HOST).map(str::to_owned).or(seen.host);
        seen
    }

    /// Whether `address` is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn read(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

/// Logs once that a proxy which is not trusted names its clients: until it is, they all share one limit.
fn hint(peer: IpAddr) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            %peer,
            "X-Forwarded-For of a peer that is not trusted is ignored: if it is your proxy, name it in \
             process.edge.trusted_proxies, or all visitors behind it share the limits of one client"
        );
    });
}

/// The entries of `X-Forwarded-For`, from left to right.
fn listed(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?"));
    let entries = lines.flat_map(|line| line.split(',').map(str::trim));
    entries.map(|entry| Hop { client: address_of(entry), scheme: None, host: None }).collect()
}

/// An entry of a header, with or without a port.
pub(super) fn address_of(entry: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = entry.trim_matches(['[', ']']).parse().ok();
    address
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

impl Serialize for TrustedProxies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// Reads a list, or one text with commas, as is handy in an environment.
impl<'de> Deserialize<'de> for TrustedProxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Networks;

        fn network<E: Error>(text: &str) -> Result<IpNet, E> {
            TrustedProxies::read(text.trim())
                .ok_or_else(|| E::custom(format!("{text:?} is no address and no network such as 10.0.0.0/8")))
        }

        impl<'de> Visitor<'de> for Networks {
            type Value = Vec<IpNet>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("addresses or networks of proxies")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<IpNet>, E> {
                text.split(',').filter(|part| !part.trim().is_empty()).map(network).collect()
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<IpNet>, A::Error> {
                let mut networks = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    networks.push(network(&text)?);
                }
                Ok(networks)
            }
        }

        deserializer.deserialize_any(Networks).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies(list: &[&str]) -> TrustedProxies {
        TrustedProxies(list.iter().map(|text| TrustedProxies::read(text).expect("a network")).collect())
    }

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).expect("a value"));
        }
        proxies(trusted).seen(peer.parse().expect("an address"), &headers).client.to_string()
    }

    #[test]
    fn who_is_no_proxy_of_ours_is_the_client_whatever_it_claims() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1", "127.0.0.1"]), "203.0.113.9");
    }

    #[test]
    fn a_proxy_of_ours_says_who_its_client_is_and_what_the_client_made_up_is_passed_over() {
        let trusted = ["10.0.0.7"];
        assert_eq!(client(&trusted, "10.0.0.7", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.7", &["198.51.100.1, 10.0.0.7, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&trusted, "10.0.0.7", &["198.51.100.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            client(&trusted, "10.0.0.8", &["198.51.100.1"]),
            "10.0.0.8",
            "not the one that is trusted"
        );
    }

    #[test]
    fn several_proxies_in_a_row_are_passed_from_the_right() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client(&trusted, "10.0.0.7", &["203.0.113.9, fd00::5, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(
            client(&trusted, "10.0.0.7", &["10.2.2.2"]),
            "10.2.2.2",
            "a client in the network of the proxies"
        );
    }

    #[test]
    fn an_entry_that_names_nobody_ends_the_search_at_whoever_passed_it_on() {
        let trusted = ["10.0.0.0/8"];
        for nobody in ["unknown", "_hidden", "", "203.0.113.9, garbage", "203.0.113.9, \u{e9}"] {
            assert_eq!(client(&trusted, "10.0.0.7", &[nobody]), "10.0.0.7", "{nobody:?}");
        }
        assert_eq!(client(&trusted, "10.0.0.7", &[]), "10.0.0.7");
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_mean_the_same_client() {
        let trusted = ["10.0.0.7"];
        for entry in ["203.0.113.9:4711", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:80"] {
            assert_eq!(client(&trusted, "::ffff:10.0.0.7", &[entry]), "203.0.113.9", "{entry}");
        }
        assert_eq!(client(&trusted, "10.0.0.7", &["[2001:db8::1]:443"]), "2001:db8::1");
    }

    fn url(trusted: &str, pairs: &[(&'static str, &str)]) -> (String, String) {
        let mut request = Request::new(axum::body::Body::empty());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 1))));
        for (name, value) in pairs {
            request.headers_mut().append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let client = ClientAddress::of(&mut request, &proxies(&[trusted]));
        let said = |name| request.headers().get(name).map_or("-", |value| value.to_str().expect("text"));
        assert!(!request.headers().contains_key("forwarded"));
        (client.0.to_string(), format!("{}://{}", said(X_FORWARDED_PROTO), said(X_FORWARDED_HOST)))
    }

    #[test]
    fn scheme_and_host_of_a_trusted_proxy_are_left_in_the_request_and_of_nobody_else() {
        let claims = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "news.example"),
            ("forwarded", "for=198.51.100.1;proto=http;host=evil.example"),
        ];
        assert_eq!(url("10.0.0.7", &claims), ("203.0.113.9".into(), "https://news.example".into()));
        assert_eq!(url("10.0.0.8", &claims), ("10.0.0.7".into(), "-://-".into()));
        let nonsense = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "gopher")];
        assert_eq!(url("10.0.0.7", &nonsense), ("203.0.113.9".into(), "-://-".into()));
    }

    #[test]
    fn forwarded_says_the_same_from_the_right_for_as_long_as_it_is_trusted() {
        let one = [(
            "forwarded",
            "for=198.51.100.1;proto=http, For=\"[2001:db8::1]:443\";Proto=https;host=\"news.example:8443\"",
        )];
        assert_eq!(url("10.0.0.7", &one), ("2001:db8::1".into(), "https://news.example:8443".into()));
        let chain = [("forwarded", "for=203.0.113.9;proto=https"), ("forwarded", "for=10.0.0.9;proto=http")];
        assert_eq!(url("10.0.0.0/8", &chain), ("203.0.113.9".into(), "https://-".into()));
        let hidden = [("forwarded", "for=_hidden;proto=https")];
        assert_eq!(url("10.0.0.7", &hidden), ("10.0.0.7".into(), "https://-".into()));
    }

    #[test]
    fn a_household_is_one_client_and_a_mapped_address_is_what_it_maps() {
        let key = |text: &str| ClientKey::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.9"), key("192.0.2.9"));
        assert_eq!(
            (key("2001:db8::1").to_string(), key("192.0.2.9").to_string()),
            ("2001:db8::/64".into(), "192.0.2.9".into())
        );
    }

    #[test]
    fn a_list_and_a_text_with_commas_are_read_alike_and_what_is_no_network_is_refused() {
        let listed: TrustedProxies =
            serde_json::from_str("[\"127.0.0.1\", \"172.16.0.0/12\"]").expect("a list");
        let written: TrustedProxies = serde_json::from_str("\"127.0.0.1, 172.16.0.0/12\"").expect("a text");
        assert_eq!(listed, written);
        assert_eq!(
            serde_json::from_str::<TrustedProxies>("\"\"").expect("nobody"),
            TrustedProxies::default()
        );
        for bad in ["[\"gateway\"]", "\"10.0.0.0/33\"", "7"] {
            assert!(serde_json::from_str::<TrustedProxies>(bad).is_err(), "{bad}");
        }
    }
}
