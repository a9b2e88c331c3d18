//! The client of a connection: its address, scheme and host, also behind trusted proxies.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forwarded::{self, Hop, address_of};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme of the URL that the client used, according to a trusted proxy. The edge removes this header
/// from all other peers, so a handler can trust it.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host of the URL that the client used, according to a trusted proxy.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address of the client: that of the connection, or the one that a trusted proxy names. `0.0.0.0` if the
/// request came over no connection. Requests are counted by this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request without a connection.
    pub(super) const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Reads the address of the client, which only `proxies` may override. Scheme and host stay in the
    /// request's headers only if a trusted proxy set them.
    pub(super) fn of(request: &mut Request, proxies: &TrustedProxies) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let origin = peer.map(|peer| proxies.origin(peer, request.headers()));
        let headers = request.headers_mut();
        headers.remove(forwarded::FORWARDED);
        for (name, value) in [
            (X_FORWARDED_PROTO, origin.as_ref().and_then(|origin| origin.scheme)),
            (X_FORWARDED_HOST, origin.as_ref().and_then(|origin| origin.host.as_deref())),
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
        origin.map_or(Self::UNKNOWN, |origin| Self(origin.client))
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

/// The key of per-client limits: an IPv4 address, or the first 64 bits of an IPv6 address, which one
/// household shares.
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

/// The origin of a request.
struct Origin {
    client: IpAddr,
    /// The scheme of the URL that the client used.
    scheme: Option<&'static str>,
    /// The host of that URL.
    host: Option<String>,
}

/// The proxies whose `X-Forwarded-For` (or `Forwarded`) is trusted: addresses and networks, such as
/// `["10.0.0.7", "fd00::/8"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Returns the client behind `peer`, and how it reached the proxies. Each proxy appends the address of
    /// its peer on the right, so the entries are read from the right while they were written by a trusted
    /// proxy. A client may have invented the entries further left. `X-Forwarded-…` takes precedence over
    /// `Forwarded`: a proxy that writes the former may pass on a client's `Forwarded`.
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let mut origin = Origin { client: peer.to_canonical(), scheme: None, host: None };
        if !self.trusts(origin.client) {
            if headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(forwarded::FORWARDED) {
                log_untrusted(origin.client);
            }
            return origin;
        }
        let hops = if headers.contains_key(X_FORWARDED_FOR) {
            x_forwarded_for(headers)
        } else {
            forwarded::hops(headers)
        };
        for hop in hops.into_iter().rev() {
            if !self.trusts(origin.client) {
                break;
            }
            (origin.scheme, origin.host) = (hop.scheme.or(origin.scheme), hop.host.or(origin.host));
            match hop.client {
                Some(before) => origin.client = before,
                // The entry has no address, so the last known hop is the best answer.
                None => break,
            }
        }
        let first = |name: &HeaderName| headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim);
        origin.scheme = first(&X_FORWARDED_PROTO).and_then(forwarded::scheme).or(origin.scheme);
        origin.host = first(&X_FORWARDED_HOST).map(str::to_owned).or(origin.host);
        origin
    }

    /// Returns true if `address` belongs to a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn read(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

/// Logs once that an untrusted proxy names its clients: until it is trusted, they all share the limits of one
/// client.
fn log_untrusted(peer: IpAddr) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            %peer,
            "X-Forwarded-For of an untrusted peer is ignored: if the peer is your proxy, add it to \
             process.edge.trusted_proxies, or all clients behind it share the limits of one client"
        );
    });
}

/// Returns the entries of `X-Forwarded-For`, from left to right.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?"));
    let entries = lines.flat_map(|line| line.split(',').map(str::trim));
    entries.map(|entry| Hop { client: address_of(entry), scheme: None, host: None }).collect()
}

impl Serialize for TrustedProxies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// Accepts a list, or one string with commas, which suits environment variables.
impl<'de> Deserialize<'de> for TrustedProxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Networks;

        fn network<E: Error>(text: &str) -> Result<IpNet, E> {
            TrustedProxies::read(text.trim()).ok_or_else(|| {
                E::custom(format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8"))
            })
        }

        impl<'de> Visitor<'de> for Networks {
            type Value = Vec<IpNet>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("IP addresses or networks of proxies")
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
        proxies(trusted).origin(peer.parse().expect("an address"), &headers).client.to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_its_headers_say() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1", "127.0.0.1"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_names_the_client_and_entries_that_the_client_invented_are_ignored() {
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
    fn a_chain_of_proxies_is_followed_from_the_right() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client(&trusted, "10.0.0.7", &["203.0.113.9, fd00::5, 10.1.1.1"]), "203.0.113.9");
        assert_eq!(
            client(&trusted, "10.0.0.7", &["10.2.2.2"]),
            "10.2.2.2",
            "a client in the network of the proxies"
        );
    }

    #[test]
    fn an_entry_without_an_address_ends_the_search_at_the_last_known_hop() {
        let trusted = ["10.0.0.0/8"];
        for unknown in ["unknown", "_hidden", "", "203.0.113.9, garbage", "203.0.113.9, \u{e9}"] {
            assert_eq!(client(&trusted, "10.0.0.7", &[unknown]), "10.0.0.7", "{unknown:?}");
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
        let header = |name| request.headers().get(name).map_or("-", |value| value.to_str().expect("text"));
        assert!(!request.headers().contains_key("forwarded"));
        (client.0.to_string(), format!("{}://{}", header(X_FORWARDED_PROTO), header(X_FORWARDED_HOST)))
    }

    #[test]
    fn only_scheme_and_host_from_a_trusted_proxy_stay_in_the_request() {
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
    fn forwarded_is_read_from_the_right_like_x_forwarded_for() {
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
    fn a_household_is_one_client_and_a_mapped_address_equals_its_ipv4_address() {
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
    fn a_list_and_a_string_with_commas_are_equal_and_an_invalid_network_is_refused() {
        let listed: TrustedProxies =
            serde_json::from_str("[\"127.0.0.1\", \"172.16.0.0/12\"]").expect("a list");
        let string: TrustedProxies = serde_json::from_str("\"127.0.0.1, 172.16.0.0/12\"").expect("a string");
        assert_eq!(listed, string);
        assert_eq!(
            serde_json::from_str::<TrustedProxies>("\"\"").expect("an empty list"),
            TrustedProxies::default()
        );
        for bad in ["[\"gateway\"]", "\"10.0.0.0/33\"", "7"] {
            assert!(serde_json::from_str::<TrustedProxies>(bad).is_err(), "{bad}");
        }
    }
}
