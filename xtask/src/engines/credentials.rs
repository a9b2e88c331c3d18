//! Each service has its own user in every engine, and this user has no access to the data of other services.
//! The tests try it on the real servers, as each of these users.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::env::PLACE;
use super::place::Place;
use super::postgres::{DATABASES, psql_as};
use super::rabbitmq::VHOST;
use super::site::Site;
use super::state::{SERVICES, State};

/// The engines that `cargo xtask test` has started.
fn site() -> Site {
    let folder = crate::cargo::variable(PLACE)
        .unwrap_or_else(|| panic!("{PLACE} is not set: `cargo xtask test` starts the engines and sets it"));
    let place = Place::at(Path::new(&folder)).expect("the engines have a folder");
    let state =
        State::load(&place.join("state.json")).expect("is readable").expect("the engines were started");
    Site { runner: place.runner().expect("has its folders"), place, state }
}

/// Returns the server's message when it refuses a statement of a role.
fn refused(site: &Site, role: &str, database: &str, statement: &str) -> String {
    let password = site.state.password(&role.replace('_', "-"));
    let error = psql_as(site, role, password, database, statement).expect_err(statement);
    error.to_string()
}

#[test]
#[ignore = "needs postgres"]
fn a_service_has_access_to_its_own_database_only() {
    let site = site();
    for role in DATABASES {
        let password = site.state.password(&role.replace('_', "-"));
        let own = "begin; create table of_the_test (id int); drop table of_the_test; commit;\n";
        psql_as(&site, role, password, role, own).expect("its own database is open to it");
        for other in DATABASES.into_iter().chain(["postgres", "tests"]).filter(|other| *other != role) {
            let message = refused(&site, role, other, "select 1;\n");
            assert!(message.contains("permission denied for database"), "{role} in {other}: {message}");
        }
        let message = refused(&site, role, role, "create role another;\n");
        assert!(message.contains("permission denied"), "{message}");
    }
}

#[test]
#[ignore = "needs ferretdb"]
fn a_section_has_access_to_its_own_view_only() {
    let site = site();
    for role in DATABASES.into_iter().filter(|role| role.ends_with("_news")) {
        let password = site.state.password(&role.replace('_', "-"));
        let own = format!("create table {role}.of_the_test (id int); drop table {role}.of_the_test;\n");
        psql_as(&site, role, password, "ferretdb", &own).expect("its own schema is open to it");
        for other in DATABASES.into_iter().filter(|other| other.ends_with("_news") && *other != role) {
            let message =
                refused(&site, role, "ferretdb", &format!("create table {other}.theft (id int);\n"));
            assert!(message.contains("permission denied for schema"), "{role} in {other}: {message}");
            let message = refused(&site, role, "ferretdb", &format!("drop schema {other} cascade;\n"));
            assert!(message.contains("must be owner"), "{role} in {other}: {message}");
        }
    }
    let message = refused(&site, "users", "ferretdb", "select 1;\n");
    assert!(message.contains("permission denied for database"), "{message}");
}

#[test]
#[ignore = "needs redis"]
fn redis_gives_users_its_own_keys_only_and_refuses_anonymous_clients() {
    let site = site();
    let password = site.state.password("users");
    for port in ["redis-cache", "redis-intake"].map(|name| site.state.port(name)) {
        let ask = |commands: &[String]| {
            let mut stream = connect(port);
            let mut answers = Vec::new();
            for command in commands {
                stream.write_all(format!("{command}\r\n").as_bytes()).expect("writes");
                let mut answer = [0; 256];
                let read = stream.read(&mut answer).expect("answers");
                answers.push(String::from_utf8_lossy(&answer[..read]).into_owned());
            }
            answers
        };
        let login = format!("AUTH users {password}");
        let reply_to = |command: &str| ask(&[login.clone(), command.to_owned()]).pop().expect("an answer");
        assert_eq!(reply_to("SET users:of-the-test 1 EX 1"), "+OK\r\n");
        for forbidden in ["SET portal:theft 1", "FLUSHALL", "CONFIG GET *", "KEYS *", "ACL LIST"] {
            assert!(reply_to(forbidden).starts_with("-NOPERM"), "{forbidden}: {}", reply_to(forbidden));
        }
        assert!(ask(&["GET users:of-the-test".to_owned()])[0].starts_with("-NOAUTH"));
        assert!(ask(&["AUTH users wrong".to_owned()])[0].starts_with("-WRONGPASS"));
    }
}

#[test]
#[ignore = "needs rabbitmq"]
fn a_service_declares_queues_under_its_own_name_only() {
    let site = site();
    for service in SERVICES {
        let mut own = Amqp::open(&site, service, VHOST).expect("the service may enter");
        assert_eq!(own.declare(&format!("{service}.of-the-test")), Declared::Made, "{service}");
        for other in SERVICES.into_iter().filter(|other| *other != service) {
            let mut connection = Amqp::open(&site, service, VHOST).expect("the service may enter");
            let declared = connection.declare(&format!("{other}.of-the-test"));
            assert_eq!(declared, Declared::Refused, "{service} as {other}");
        }
        assert!(Amqp::open(&site, service, "tests").is_none(), "{service} enters the tests' virtual host");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Declared {
    Made,
    Refused,
}

/// A client of AMQP 0-9-1 that can only declare a queue. A driver would make xtask slow to build.
struct Amqp(TcpStream);

impl Amqp {
    /// Logs in and opens a channel. Returns `None` if the broker does not give this user access to the
    /// virtual host.
    fn open(site: &Site, service: &str, vhost: &str) -> Option<Self> {
        let mut amqp = Self(connect(site.state.port("amqp")));
        amqp.0.write_all(b"AMQP\x00\x00\x09\x01").expect("writes");
        amqp.expect([10, 10]);
        let login = format!("\0{service}\0{}", site.state.password(service));
        let start_ok = [&[0, 0, 0, 0], &short("PLAIN")[..], &long(&login), &short("en_US")].concat();
        amqp.send(0, [10, 11], &start_ok);
        amqp.expect([10, 30]);
        // At most 10 channels, frames of 128 KiB, no heartbeat.
        amqp.send(0, [10, 31], &[0, 10, 0, 2, 0, 0, 0, 0]);
        amqp.send(0, [10, 40], &[&short(vhost)[..], &[0, 0]].concat());
        if amqp.answer() != [10, 41] {
            return None;
        }
        amqp.send(1, [20, 10], &[0]);
        amqp.expect([20, 11]);
        Some(amqp)
    }

    /// Declares a queue that is deleted when this connection closes.
    fn declare(&mut self, queue: &str) -> Declared {
        const EXCLUSIVE: u8 = 0b100;
        self.send(1, [50, 10], &[&[0, 0], &short(queue)[..], &[EXCLUSIVE, 0, 0, 0, 0]].concat());
        match self.answer() {
            [50, 11] => Declared::Made,
            [20, 40] => Declared::Refused,
            other => panic!("the broker answered with the method {other:?}"),
        }
    }

    fn send(&mut self, channel: u8, method: [u8; 2], arguments: &[u8]) {
        let payload = [&[0, method[0], 0, method[1]], arguments].concat();
        let length = u32::try_from(payload.len()).expect("is short").to_be_bytes();
        let frame = [&[1, 0, channel], &length[..], &payload, &[0xCE]].concat();
        self.0.write_all(&frame).expect("writes");
    }

    /// Reads the class and the method of the next answer.
    fn answer(&mut self) -> [u8; 2] {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).expect("answers");
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(length).expect("fits") + 1];
        self.0.read_exact(&mut payload).expect("answers to the end");
        [payload[1], payload[3]]
    }

    fn expect(&mut self, method: [u8; 2]) {
        assert_eq!(self.answer(), method);
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("is short")], text.as_bytes()].concat()
}

fn long(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).expect("is short").to_be_bytes()[..], text.as_bytes()].concat()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the engine accepts connections");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("has a patience");
    stream
}
