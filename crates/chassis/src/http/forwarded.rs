//! The header `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// The name of the header.
pub(super) const FORWARDED: &str = "forwarded";

/// An entry of the header: a proxy's description of its peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// The address of the peer, if the entry has a valid one.
    pub client: Option<IpAddr>,
    /// The scheme of the request.
    pub scheme: Option<&'static str>,
    /// The host of the request.
    pub host: Option<String>,
}

/// Returns the entries of all lines, from left to right.
pub(super) fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let lines = headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| split(line, ',').into_iter().map(hop).collect::<Vec<_>>()).collect()
}

fn hop(entry: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(entry, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address_of(value),
            "proto" => hop.scheme = scheme(value),
            "host" => hop.host = Some(value.to_owned()),
            _ => {}
        }
    }
    hop
}

/// Parses an entry of a header, with or without a port.
pub(super) fn address_of(entry: &str) -> Option<IpAddr> {
    let address: Option<IpAddr> = entry.trim_matches(['[', ']']).parse().ok();
    address
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

/// Returns the scheme if the portal can be reached by it.
pub(super) fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
}

/// Splits a text at separators outside of quotation marks.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let parts = text.split(|next: char| {
        quoted ^= next == '"';
        next == separator && !quoted
    });
    parts.map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_parsed_with_quotation_marks_in_any_order_and_unknown_pairs_are_ignored() {
        let read = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED, line.parse().expect("a value"));
            hops(&headers)
        };
        let both = read("host=\"a,b;c\"; by=_x ;FOR=192.0.2.1:80 , proto=HTTPS;for=unknown");
        let first = Hop { client: "192.0.2.1".parse().ok(), scheme: None, host: Some("a,b;c".to_owned()) };
        assert_eq!(both, [first, Hop { client: None, scheme: Some("https"), host: None }]);
        assert_eq!(read("nonsense"), [Hop::default()]);
    }
}
