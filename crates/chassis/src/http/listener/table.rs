//! The open connections of one listener, which its clients share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounds::{Bound, Shares};
use super::connection::Connection;
use super::unsent::Unsent;
use super::usage::Usage;
use crate::http::ClientKey;

/// The table of a listener's connections.
#[derive(Debug)]
pub(crate) struct Table {
    shares: Arc<Shares>,
    unsent: Arc<Unsent>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// The connections of clients, by client.
    held: HashMap<ClientKey, Vec<Arc<Connection>>>,
    /// The number of all connections, including those of trusted proxies.
    count: usize,
}

/// A place in the table. It is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    pub(super) connection: Arc<Connection>,
}

impl Table {
    pub(crate) fn new(shares: Shares) -> Self {
        let unsent = Arc::new(Unsent::new(shares.unsent));
        Self { shares: Arc::new(shares), unsent, open: Mutex::default() }
    }

    /// Gives a new connection a place. If there is none, an idle connection is closed: one of the same client
    /// if its share is used up, or one of the client with the most connections if the listener is full.
    ///
    /// # Errors
    /// The bound, if no connection that could be closed is idle.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Bound> {
        let mut open = self.lock();
        let key = (!self.shares.trusted.trusts(peer.to_canonical())).then(|| ClientKey::from(peer));
        if let Some(key) = key {
            let most = self.shares.connections_of_one;
            let own = open.held.get(&key).map_or(&[][..], Vec::as_slice);
            if most > 0 && own.len() >= most {
                let resting = own.iter().filter(|it| it.in_flight() == 0).min_by_key(|it| it.active_at());
                let resting = resting.cloned().ok_or(Bound::ConnectionsOfOne)?;
                open.evict(key, &resting);
            }
        }
        if open.count >= self.shares.connections {
            let own = key.and_then(|key| open.held.get(&key)).map_or(0, Vec::len);
            let (holder, victim) = open.victim(own).ok_or(Bound::Connections)?;
            open.evict(holder, &victim);
        }
        let client = key.map(|key| (key, open.usage(key)));
        let connection = self.connection(client);
        if let Some(key) = key {
            open.held.entry(key).or_default().push(connection.clone());
        }
        open.count += 1;
        Ok(Place { table: self.clone(), connection })
    }

    /// Returns a connection outside of the table, for a probe.
    pub(super) fn for_probe(&self) -> Arc<Connection> {
        self.connection(None)
    }

    /// Closes the longest idle connections of the clients with the most, because the process has no
    /// descriptors left.
    pub(super) fn close_idlest(&self, number: usize) {
        let mut open = self.lock();
        for _ in 0..number {
            let Some((holder, victim)) = open.victim(0) else { return };
            open.evict(holder, &victim);
        }
    }

    fn connection(&self, client: Option<(ClientKey, Arc<Usage>)>) -> Arc<Connection> {
        Connection::new(client, self.shares.clone(), self.unsent.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of connections in the table.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().count
    }
}

impl Open {
    /// Returns the counters of a client, which its connections share.
    fn usage(&self, key: ClientKey) -> Arc<Usage> {
        let others = self.held.get(&key).and_then(|own| own.first());
        others.and_then(|other| other.usage()).unwrap_or_default()
    }

    /// Returns the connection to close for a new one of a client with `own` connections: the longest idle one
    /// of the client with the most connections. A busy connection is closed only for a client that has fewer.
    fn victim(&self, own: usize) -> Option<(ClientKey, Arc<Connection>)> {
        let largest = self.held.values().map(Vec::len).max()?;
        let of_the_largest = || self.held.iter().filter(|(_, held)| held.len() == largest);
        let idlest = |holders: &mut dyn Iterator<Item = (&ClientKey, &Vec<Arc<Connection>>)>,
                      resting: bool| {
            holders
                .flat_map(|(key, held)| held.iter().map(move |it| (*key, it)))
                .filter(|(_, it)| !resting || it.in_flight() == 0)
                .min_by_key(|(_, it)| it.active_at())
                .map(|(key, it)| (key, it.clone()))
        };
        idlest(&mut of_the_largest(), true)
            .or_else(|| (largest > own + 1).then(|| idlest(&mut of_the_largest(), false)).flatten())
            .or_else(|| idlest(&mut self.held.iter(), true))
    }

    /// Removes a connection from the table and ends it.
    fn evict(&mut self, key: ClientKey, connection: &Arc<Connection>) {
        self.remove(key, connection);
        connection.closing.cancel();
    }

    fn remove(&mut self, key: ClientKey, connection: &Arc<Connection>) {
        let Some(own) = self.held.get_mut(&key) else { return };
        let Some(at) = own.iter().position(|it| Arc::ptr_eq(it, connection)) else { return };
        own.swap_remove(at);
        if own.is_empty() {
            self.held.remove(&key);
        }
        self.count -= 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.table.lock();
        match self.connection.client() {
            Some(key) => open.remove(key, &self.connection),
            None => open.count -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use http::StatusCode;

    use super::*;

    fn table(connections: usize, of_one: usize) -> Arc<Table> {
        let trusted = serde_json::from_str("\"10.0.0.7\"").expect("a proxy");
        Arc::new(Table::new(Shares {
            connections,
            connections_of_one: of_one,
            streams_of_one: 2,
            unsent: 1_000,
            unsent_of_one: 600,
            trusted,
        }))
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn places(table: &Arc<Table>, from: &str, number: usize) -> Vec<Place> {
        (0..number).map(|_| table.admit(peer(from)).expect("a place")).collect()
    }

    fn active_at(places: &[Place], moments: &[u64]) {
        for (place, at) in places.iter().zip(moments) {
            place.connection.active.store(*at, Ordering::Relaxed);
        }
    }

    fn evicted(places: &[Place]) -> usize {
        places.iter().filter(|place| place.connection.closing.is_cancelled()).count()
    }

    #[test]
    fn a_client_at_its_share_loses_its_own_longest_idle_connection() {
        let table = table(100, 3);
        let neighbour = places(&table, "192.0.2.2", 1);
        let own = places(&table, "192.0.2.1", 3);
        active_at(&own, &[20, 10, 30]);
        let next = places(&table, "192.0.2.1", 1);
        assert!(own[1].connection.closing.is_cancelled());
        assert_eq!((evicted(&own), evicted(&neighbour), evicted(&next)), (1, 0, 0));
        assert_eq!(table.count(), 4);
    }

    #[test]
    fn a_client_at_its_share_without_an_idle_connection_is_refused() {
        let table = table(100, 2);
        let own = places(&table, "192.0.2.1", 2);
        let _busy: Vec<_> = own.iter().map(|place| place.connection.begin(false).expect("begins")).collect();
        assert_eq!(table.admit(peer("192.0.2.1")).err(), Some(Bound::ConnectionsOfOne));
        assert!(table.admit(peer("192.0.2.2")).is_ok(), "others have their own");
    }

    #[test]
    fn a_network_of_64_bits_is_one_client_and_a_trusted_proxy_has_no_limit() {
        let table = table(100, 2);
        let households = [places(&table, "2001:db8::1", 1), places(&table, "2001:db8::2", 1)];
        let next = places(&table, "2001:db8::3", 1);
        assert_eq!(evicted(&households[0]) + evicted(&households[1]), 1);
        assert_eq!(evicted(&next), 0);
        let proxy = places(&table, "10.0.0.7", 50);
        assert_eq!(evicted(&proxy), 0);
    }

    #[test]
    fn a_full_listener_closes_the_idlest_connection_of_the_largest_holder() {
        let table = table(6, 0);
        let small = places(&table, "192.0.2.1", 2);
        let large = places(&table, "192.0.2.2", 4);
        active_at(&small, &[1, 2]);
        active_at(&large, &[40, 10, 20, 30]);
        let next = places(&table, "192.0.2.3", 1);
        assert!(large[1].connection.closing.is_cancelled());
        assert_eq!((evicted(&small), evicted(&large), evicted(&next)), (0, 1, 0));
        assert_eq!(table.count(), 6);
    }

    #[test]
    fn a_connection_at_work_makes_room_only_for_a_client_that_holds_less() {
        let table = table(4, 0);
        let large = places(&table, "192.0.2.2", 4);
        let _busy: Vec<_> =
            large.iter().map(|place| place.connection.begin(false).expect("begins")).collect();
        assert_eq!(table.admit(peer("192.0.2.2")).err(), Some(Bound::Connections));
        assert!(table.admit(peer("192.0.2.3")).is_ok());
        assert_eq!(evicted(&large), 1);
    }

    #[test]
    fn a_place_that_was_taken_away_is_not_given_back_twice() {
        let table = table(2, 1);
        let first = table.admit(peer("192.0.2.1")).expect("a place");
        let second = table.admit(peer("192.0.2.1")).expect("a place");
        drop(first);
        assert_eq!(table.count(), 1);
        drop(second);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn requests_over_http_2_have_a_share_over_all_connections_of_a_client() {
        let table = table(100, 0);
        let own = places(&table, "192.0.2.1", 3);
        let first = own[0].connection.begin(true).expect("begins");
        let _second = own[1].connection.begin(true).expect("begins");
        assert_eq!(own[2].connection.begin(true).err(), Some(Bound::StreamsOfOne));
        assert!(places(&table, "192.0.2.2", 1)[0].connection.begin(true).is_ok());
        drop(first);
        assert!(own[2].connection.begin(true).is_ok());
    }

    #[test]
    fn a_connection_ends_after_ten_refusals_in_a_row() {
        let table = table(100, 0);
        let places = places(&table, "192.0.2.1", 1);
        let connection = &places[0].connection;
        let refused = || connection.note_answer(StatusCode::TOO_MANY_REQUESTS);
        assert!((0..9).all(|_| !refused()));
        assert!(!connection.note_answer(StatusCode::OK));
        assert!((0..9).all(|_| !refused()));
        assert!(refused());
    }
}
