use kernel::{Section, Timestamp};

/// A part of an export that another service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartSource {
    /// The articles that the person wrote in a section.
    Articles(Section),
    /// The readings that recommendations keeps.
    Readings,
    /// The labels that the person likes.
    Labels,
    /// The settings by which recommendations treats the person.
    Settings,
}

impl PartSource {
    /// Returns all parts.
    pub fn all() -> Vec<Self> {
        let sections = Section::ALL.into_iter().map(Self::Articles);
        sections.chain([Self::Readings, Self::Labels, Self::Settings]).collect()
    }

    /// Returns the name of the part in the document and in calls.
    pub fn part(self) -> &'static str {
        match self {
            Self::Articles(_) => "articles",
            Self::Readings => "readings",
            Self::Labels => "labels",
            Self::Settings => "settings",
        }
    }

    /// Returns the service that has it.
    pub fn service(self) -> &'static str {
        match self {
            Self::Articles(section) => section.service(),
            Self::Readings | Self::Labels | Self::Settings => "recommendations",
        }
    }

    /// Returns the address at which the service serves it on the bus.
    pub fn address(self) -> String {
        format!("exports.{}", self.service())
    }

    /// Returns the part with these names, if there is one.
    pub fn named(part: &str, service: &str) -> Option<Self> {
        Self::all().into_iter().find(|source| source.part() == part && source.service() == service)
    }
}

/// A page of a part, as its service sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPage {
    /// The items, each a JSON object.
    pub items: Vec<String>,
    /// The position of the next page; `None` if this was the last one.
    pub next: Option<String>,
    /// True if the service has more items than it exports.
    pub is_cut: bool,
}

/// A part of an export, as far as it has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPart {
    /// The part and its service.
    pub source: PartSource,
    /// JSON objects, separated by commas.
    pub items: String,
    /// The position of the next page; empty at the beginning.
    pub next: String,
    /// True if nothing more will come.
    pub is_complete: bool,
    /// True if items were left out, because the part would have been too large.
    pub is_cut: bool,
    /// The time at which the person asked for it first.
    pub begun_at: Timestamp,
    /// The time of the last page.
    pub at: Timestamp,
}

impl ExportPart {
    /// The most bytes of a part: 10,000 published articles, or 40,000 readings. The items beyond are left
    /// out, and the part says so.
    pub const MAX_BYTES: usize = 8 * 1024 * 1024;

    /// Creates a part of which nothing has arrived.
    pub fn begun(source: PartSource, at: Timestamp) -> Self {
        let (items, next) = (String::new(), String::new());
        Self { source, items, next, is_complete: false, is_cut: false, begun_at: at, at }
    }

    /// Returns all parts, of which nothing has arrived.
    pub fn all_begun(at: Timestamp) -> Vec<Self> {
        PartSource::all().into_iter().map(|source| Self::begun(source, at)).collect()
    }

    /// Adds a page.
    pub fn add(&mut self, page: &PartPage, at: Timestamp) {
        self.is_cut |= page.is_cut;
        for item in &page.items {
            if self.items.len() + item.len() >= Self::MAX_BYTES {
                (self.is_cut, self.is_complete) = (true, true);
                break;
            }
            if !self.items.is_empty() {
                self.items.push(',');
            }
            self.items.push_str(item);
        }
        self.at = at;
        match &page.next {
            Some(next) if !self.is_complete => self.next.clone_from(next),
            _ => self.is_complete = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[&str], next: Option<&str>) -> PartPage {
        let items = items.iter().map(|item| (*item).to_owned()).collect();
        PartPage { items, next: next.map(str::to_owned), is_cut: false }
    }

    #[test]
    fn each_part_is_found_by_its_names() {
        for source in PartSource::all() {
            assert_eq!(PartSource::named(source.part(), source.service()), Some(source));
        }
        assert_eq!(PartSource::named("articles", "recommendations"), None);
    }

    #[test]
    fn pages_are_joined_until_the_last_one() {
        let at = Timestamp::from_millis(1);
        let mut part = ExportPart::begun(PartSource::Labels, at);
        part.add(&page(&["{}", "{}"], Some("2")), at);
        assert_eq!((part.items.as_str(), part.next.as_str(), part.is_complete), ("{},{}", "2", false));
        part.add(&page(&["{\"a\":1}"], None), Timestamp::from_millis(2));
        assert_eq!((part.items.as_str(), part.is_complete, part.is_cut), ("{},{},{\"a\":1}", true, false));
        assert_eq!(part.at, Timestamp::from_millis(2));
        let mut empty = ExportPart::begun(PartSource::Settings, at);
        empty.add(&page(&[], None), at);
        assert!(empty.is_complete && !empty.is_cut && empty.items.is_empty());
    }

    #[test]
    fn a_part_ends_at_its_bound_and_says_so() {
        let at = Timestamp::from_millis(1);
        let large = format!("\"{}\"", "x".repeat(ExportPart::MAX_BYTES / 3));
        let mut part = ExportPart::begun(PartSource::Labels, at);
        part.add(&page(&[&large, &large], Some("2")), at);
        part.add(&page(&[&large, "{}"], Some("4")), at);
        assert!(part.is_cut && part.is_complete && part.items.len() < ExportPart::MAX_BYTES);
        assert_eq!(part.items.len(), 2 * large.len() + 1);
    }

    #[test]
    fn a_part_of_which_its_service_left_items_out_says_so() {
        let mut part = ExportPart::begun(PartSource::Labels, Timestamp::from_millis(1));
        part.add(&PartPage { is_cut: true, ..page(&["{}"], Some("2")) }, part.at);
        assert!(part.is_cut && !part.is_complete);
        part.add(&page(&["{}"], None), part.at);
        assert!(part.is_cut && part.is_complete);
    }
}
