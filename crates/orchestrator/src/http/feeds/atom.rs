//! Atom (RFC 4287).

use atom_syndication::{Category, Content, Link, Person, Text};
use kernel::Timestamp;

use super::dates::{Moment, moment};
use super::entry::{Entry, Feed};

/// Writes a feed.
pub(super) fn write(feed: &Feed) -> Vec<u8> {
    let links = vec![
        link("self", &feed.address, Some(super::Format::Atom.media_type())),
        link("alternate", &feed.home, None),
    ];
    let written = atom_syndication::Feed {
        title: Text::plain(&*feed.title),
        id: feed.address.clone(),
        updated: fixed(feed.updated()),
        // An entry whose byline was erased has no author of its own, and one of both must have one.
        authors: vec![Person { name: feed.publisher.clone(), ..Person::default() }],
        links,
        entries: feed.entries.iter().map(entry).collect(),
        ..atom_syndication::Feed::default()
    };
    written.to_string().into_bytes()
}

fn entry(entry: &Entry) -> atom_syndication::Entry {
    let person = |name: &String| Person { name: name.clone(), ..Person::default() };
    let category = |label: &String| Category { term: label.clone(), scheme: None, label: None };
    let html = |html: String| Content {
        value: Some(html),
        content_type: Some("html".to_owned()),
        lang: entry.language.clone(),
        ..Content::default()
    };
    atom_syndication::Entry {
        title: Text::plain(&*entry.title),
        id: entry.id.clone(),
        updated: fixed(entry.updated),
        published: Some(fixed(entry.published)),
        authors: entry.author.iter().map(person).collect(),
        categories: entry.labels.iter().map(category).collect(),
        links: vec![link("alternate", &entry.url, None)],
        summary: entry.summary_text().map(Text::plain),
        content: entry.html().map(html),
        ..atom_syndication::Entry::default()
    }
}

fn link(relation: &str, href: &str, media_type: Option<&str>) -> Link {
    Link {
        href: href.to_owned(),
        rel: relation.to_owned(),
        mime_type: media_type.map(str::to_owned),
        ..Link::default()
    }
}

fn fixed(at: Timestamp) -> atom_syndication::FixedDateTime {
    let at: Moment = moment(at);
    at.fixed_offset()
}
