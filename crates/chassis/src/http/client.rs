//! Who is at the other end: the address of a client, also where it comes through a proxy.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of whoever sent the request: that of the connection, or what a configured proxy says of it. `0.0.0.0` where a
/// request came over no connection. What counts requests by their origin counts by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Nobody knows.
    const UNKNOWN: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Reads it from a request, believing `proxies` and nobody else.
    pub(super) fn of(request: &Request, proxies: &TrustedProxies) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        peer.map_or(Self::UNKNOWN, |ConnectInfo(peer)| Self(proxies.client(peer.ip(), request.headers())))
    }

    /// The address, where the request came over a connection.
    pub(super) fn known(self) -> Option<IpAddr> {
        (self != Self::UNKNOWN).then_some(self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self::UNKNOWN))
    }
}

/// The proxies whose `X-Forwarded-For` is believed: addresses and networks, as `["10.0.0.7", "fd00::/8"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The client behind `peer`. Each proxy adds the address that it saw at the right end, so the entries are read from there for as
    /// long as they were written by a proxy that is trusted; what stands further left a client may have made up.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut entries =
            lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(str::trim)).map(address_of);
        while self.trusts(nearest) {
            match entries.next() {
                Some(Some(before)) => nearest = before,
                // No more entries, or one that names nobody: then all that is known is who passed it on.
                _ => break,
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    fn read(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

/// An entry of the header, with or without a port.
fn address_of(entry: &str) -> Option<IpAddr> {
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
        proxies(trusted).client(peer.parse().expect("an address"), &headers).to_string()
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
