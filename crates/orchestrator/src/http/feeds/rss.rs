//! RSS 2.0 (<https://www.rssboard.org/rss-specification>).

use std::collections::BTreeMap;

use rss::extension::dublincore::DublinCoreExtension;
use rss::extension::{Extension, ExtensionMap};
use rss::{Category, Channel, Guid, Item};

use super::dates::{rfc_2822, rfc_3339};
use super::entry::{Entry, Feed, html};

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// Writes a feed.
pub(super) fn write(feed: &Feed) -> Vec<u8> {
    let updated = rfc_2822(feed.updated());
    let link = [("href", &*feed.address), ("rel", "self"), ("type", super::Format::Rss.media_type())];
    let channel = Channel {
        title: feed.title.clone(),
        link: feed.home.clone(),
        description: feed.title.clone(),
        last_build_date: (!feed.entries.is_empty()).then_some(updated),
        docs: Some("https://www.rssboard.org/rss-specification".to_owned()),
        items: feed.entries.iter().map(item).collect(),
        extensions: atom("link", None, &link),
        namespaces: BTreeMap::from([("atom".to_owned(), ATOM.to_owned())]),
        ..Channel::default()
    };
    channel.to_string().into_bytes()
}

fn item(entry: &Entry) -> Item {
    let creators = DublinCoreExtension {
        creators: entry.author.iter().cloned().collect(),
        languages: entry.language.iter().cloned().collect(),
        ..DublinCoreExtension::default()
    };
    let category = |label: &String| Category { name: label.clone(), domain: None };
    Item {
        title: Some(entry.title.clone()),
        link: Some(entry.url.clone()),
        // Readers take it for HTML.
        description: entry.summary_text().map(|text| html(&text)),
        content: entry.html(),
        categories: entry.labels.iter().map(category).collect(),
        guid: Some(Guid { value: entry.id.clone(), permalink: false }),
        pub_date: Some(rfc_2822(entry.published)),
        dublin_core_ext: Some(creators),
        extensions: atom("updated", Some(rfc_3339(entry.updated)), &[]),
        ..Item::default()
    }
}

/// Returns an element of Atom, which RSS lacks.
fn atom(name: &str, value: Option<String>, attributes: &[(&str, &str)]) -> ExtensionMap {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let extension = Extension {
        name: format!("atom:{name}"),
        value,
        attrs: attributes.collect(),
        children: BTreeMap::new(),
    };
    let named = BTreeMap::from([(name.to_owned(), vec![extension])]);
    ExtensionMap::from([("atom".to_owned(), named)])
}
