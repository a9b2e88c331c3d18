//! What a client asks of a list: read, checked and written again in one spelling.

use chassis::http::{Caller, query_time};
use kernel::{
    FieldFault, Kind, Label, MAX_LIMIT, NotAnId, Page, PageError, Refusal, Section, TextError, Timestamp,
    UserId, line, match_key, nfc,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::views::ARTICLE_FIELDS;
use crate::app::ListNews;
use crate::domain::{Cursor, Filter, Fingerprint, Order, Part, Scope, Start, State};

/// How many articles a list has where nobody says.
const LIMIT: u32 = 10;
/// The longest byline.
const BYLINE: usize = 50;

/// What is told of each article of a page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `content` gives the texts too. A page whose texts exceed 2 MiB together is refused (`page_too_large`), and only few such pages
    /// may be asked for at a time.
    include: Option<String>,
    /// The fields of each article that are wanted, with commas between them: `fields=id,title`. All but the text where it is left out.
    fields: Option<String>,
}

/// Which part of which list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only articles with this label, in any spelling: case, normalisation and outer spaces make no other label.
    label: Option<String>,
    /// Only articles with this byline: the same letters, however they were typed.
    author: Option<String>,
    /// Only articles by this account.
    #[param(value_type = Option<uuid::Uuid>)]
    author_id: Option<String>,
    /// Only what was first published at this moment or later, as `2026-11-21T08:00:00Z`.
    from: Option<String>,
    /// Only what was first published at this moment or earlier.
    to: Option<String>,
    /// `newest` (the default), `oldest` or `updated`.
    order: Option<String>,
    /// For staff: only what is in one of these states, with commas between them. Authors see their own, editors all of their sections.
    state: Option<String>,
    /// Where to go on: `next_cursor` or `prev_cursor` of another page of the same list.
    cursor: Option<String>,
    /// How many articles, 1 to 100; 10 where it is left out.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `content` gives the texts too. Such a page ends at 2 MiB of text (it has one article at least), and `next_cursor` goes on; only
    /// few of them may be asked for at a time.
    include: Option<String>,
    /// The fields of each article that are wanted, with commas between them: `fields=id,title`. All but the text where it is left out.
    fields: Option<String>,
}

/// How each article is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Show {
    /// With its text.
    pub content: bool,
    /// These fields only, in the order of the document.
    pub fields: Option<Vec<&'static str>>,
}

/// A list by cursor that can be asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub list: ListNews,
    pub show: Show,
    /// What its cursors belong to.
    pub fingerprint: Fingerprint,
    /// The cursor as it came.
    pub cursor: Option<String>,
}

impl PageQuery {
    pub fn show(&self) -> Result<Show, Refusal> {
        show(self.include.as_deref(), self.fields.as_deref())
    }
}

impl ListQuery {
    /// Checks everything and says everything that is wrong at once; a cursor only where the rest is right.
    pub fn read(self, scope: Scope, caller: &Caller) -> Result<Wanted, Refusal> {
        let mut faults = Vec::new();
        let limit = limit(self.limit.as_deref(), &mut faults);
        let order = self.order.as_deref().map(order);
        let filter = Filter {
            label: checked("/label", self.label, &mut faults, |text| Label::parse(text).map(|_| ()))
                .map(|label| match_key(&label)),
            author: checked("/author", self.author, &mut faults, |text| line(text, BYLINE))
                .map(|byline| nfc(&byline).into_owned()),
            author_id: account(self.author_id.as_deref(), &mut faults),
            from: moment("/from", self.from.as_deref(), &mut faults),
            to: moment("/to", self.to.as_deref(), &mut faults),
            states: states(self.state.as_deref()),
        };
        let order = taken(order.transpose(), &mut faults).flatten().unwrap_or_default();
        let show = taken(show(self.include.as_deref(), self.fields.as_deref()), &mut faults);
        let (Some(show), true) = (show, faults.is_empty()) else { return Err(broken(faults)) };
        may_ask(&filter, caller)?;
        let fingerprint = Fingerprint::of(scope, &filter, order);
        let (start, without) = begin(self.cursor.as_deref(), fingerprint, scope)?;
        let part = Part { filter, order, start, limit };
        let list = ListNews { scope, part, without, content: show.content, whole: false };
        Ok(Wanted { list, show, fingerprint, cursor: self.cursor })
    }
}

impl Wanted {
    /// The query of the same list at this cursor.
    pub fn at(&self, cursor: Option<&str>) -> String {
        let Part { filter, order, limit, .. } = &self.list.part;
        let states: Vec<&str> = filter.states.iter().map(State::as_str).collect();
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        };
        let text = |value: Option<Timestamp>| value.map(|at| at.to_string());
        add("label", filter.label.as_deref());
        add("author", filter.author.as_deref());
        add("author_id", filter.author_id.map(|id| id.to_string()).as_deref());
        add("from", text(filter.from).as_deref());
        add("to", text(filter.to).as_deref());
        add("order", (*order != Order::default()).then_some(order.as_str()));
        add("state", (!states.is_empty()).then(|| states.join(",")).as_deref());
        add("limit", Some(&limit.to_string()));
        for (name, value) in self.show.pairs() {
            add(name, Some(&value));
        }
        add("cursor", cursor);
        query.finish()
    }
}

impl Show {
    /// As parts of a query.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if let Some(fields) = &self.fields {
            pairs.push(("fields", fields.join(",")));
        }
        if self.content && !self.fields.as_ref().is_some_and(|fields| fields.contains(&"content")) {
            pairs.push(("include", "content".to_owned()));
        }
        pairs
    }
}

/// What is not public is asked for by staff. (The section decides once more what each of them may see.)
fn may_ask(filter: &Filter, caller: &Caller) -> Result<(), Refusal> {
    if filter.is_public() {
        return Ok(());
    }
    match &caller.identity {
        None => Err(Refusal::new(Kind::Unauthenticated, "unauthenticated", "Log in first.")),
        Some(_) if caller.is_reader() => {
            let detail = "Only staff may ask for what is not published.";
            Err(Refusal::new(Kind::Forbidden, "role_required", detail))
        }
        Some(_) => Ok(()),
    }
}

fn begin(cursor: Option<&str>, list: Fingerprint, scope: Scope) -> Result<(Start, Vec<Section>), Refusal> {
    let Some(text) = cursor else { return Ok((Start::Offset(0), Vec::new())) };
    let cursor = Cursor::read(text, list, scope).map_err(|error| bad_cursor(&error.to_string()))?;
    Ok((cursor.start(), cursor.without))
}

/// The refusal of a cursor, with the reason.
pub(super) fn bad_cursor(why: &str) -> Refusal {
    let fault = FieldFault::new("/cursor", "bad_cursor", why);
    Refusal::new(Kind::Invalid, "bad_cursor", "The cursor is none of this list.").with_fields(vec![fault])
}

fn show(include: Option<&str>, fields: Option<&str>) -> Result<Show, Refusal> {
    let mut faults = Vec::new();
    let included = match include {
        None => false,
        Some("content") => true,
        Some(_) => {
            faults.push(FieldFault::new("/include", "unknown_name", "only content can be included"));
            false
        }
    };
    let wanted: Option<Vec<&str>> = fields.map(|names| names.split(',').collect());
    for name in wanted.iter().flatten().filter(|name| !ARTICLE_FIELDS.contains(name)) {
        let shown: String = name.chars().take(50).collect();
        faults.push(FieldFault::new("/fields", "unknown_name", format!("an article has no field {shown:?}")));
    }
    if !faults.is_empty() {
        faults.truncate(20);
        return Err(broken(faults));
    }
    // One spelling, whatever the order and however often a name is repeated.
    let fields = wanted
        .map(|wanted| ARTICLE_FIELDS.into_iter().filter(|name| wanted.contains(name)).collect::<Vec<_>>());
    let content = match &fields {
        Some(fields) => fields.contains(&"content"),
        None => included,
    };
    Ok(Show { content, fields })
}

fn order(name: &str) -> Result<Order, Refusal> {
    Order::ALL.into_iter().find(|order| order.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = Order::ALL.into_iter().map(Order::as_str).collect();
        let detail = format!("the orders are {}", names.join(", "));
        broken(vec![FieldFault::new("/order", "unknown_name", detail)])
    })
}

/// The states' names, each once; which there are is known by the sections.
fn states(names: Option<&str>) -> Vec<State> {
    let mut names: Vec<&str> = names.map(|names| names.split(',').collect()).unwrap_or_default();
    names.sort_unstable();
    names.dedup();
    // Published alone is what everybody gets without asking.
    if names == [State::published().as_str()] {
        names.clear();
    }
    names.into_iter().map(State::new).collect()
}

/// A time of a query; what is not a time is a fault.
pub(super) fn moment(pointer: &str, text: Option<&str>, faults: &mut Vec<FieldFault>) -> Option<Timestamp> {
    let at = query_time(text?).ok();
    if at.is_none() {
        let detail = "must be a time such as 2026-11-21T08:00:00.000Z";
        faults.push(FieldFault::new(pointer, "not_a_time", detail));
    }
    at
}

fn account(text: Option<&str>, faults: &mut Vec<FieldFault>) -> Option<UserId> {
    let id = text?.parse();
    id.map_err(|error: NotAnId| faults.push(FieldFault::new("/author_id", "not_an_id", error.to_string())))
        .ok()
}

fn checked(
    pointer: &str,
    text: Option<String>,
    faults: &mut Vec<FieldFault>,
    check: impl Fn(&str) -> Result<(), TextError>,
) -> Option<String> {
    let text = text?;
    if let Err(error) = check(&text) {
        faults.push(FieldFault::new(pointer, error.code(), error.to_string()));
    }
    Some(text)
}

fn taken<T>(outcome: Result<T, Refusal>, faults: &mut Vec<FieldFault>) -> Option<T> {
    outcome.map_err(|refusal| faults.extend(refusal.fields)).ok()
}

fn limit(text: Option<&str>, faults: &mut Vec<FieldFault>) -> u32 {
    let Some(text) = text else { return LIMIT };
    match number(text) {
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => return limit,
        Some(_) => {
            let detail = format!("must be between 1 and {MAX_LIMIT}");
            faults.push(FieldFault::new("/limit", "out_of_range", detail));
        }
        None => faults.push(FieldFault::new("/limit", "not_a_number", "must be a whole number")),
    }
    LIMIT
}

/// The page that an address names. What is no number can't be read; a number outside its range is understood and refused.
pub(super) fn parse_page(page: &str, limit: &str) -> Result<Page, Refusal> {
    let number = |pointer, text| number(text).ok_or_else(|| not_a_number(pointer));
    let (number, size) = (number("/page", page)?, number("/limit", limit)?);
    Page::new(number, size).map_err(|error| {
        let (pointer, code) = match error {
            PageError::Number => ("/page", "too_small"),
            PageError::Limit => ("/limit", "out_of_range"),
            PageError::Reach => ("/page", "too_far"),
        };
        broken(vec![FieldFault::new(pointer, code, error.to_string())])
    })
}

fn not_a_number(pointer: &str) -> Refusal {
    let fault = FieldFault::new(pointer, "not_a_number", "must be a whole number");
    let detail = "Page and limit in the path must be whole numbers.";
    Refusal::new(Kind::Malformed, "malformed_path", detail).with_fields(vec![fault])
}

/// A whole number. A negative one is below every range, one that does not fit is above; the range check says so.
fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if digits == text { digits.parse().unwrap_or(u32::MAX) } else { 0 })
}

/// The refusal of a query or a path, with its faults.
pub(super) fn broken(faults: Vec<FieldFault>) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The request breaks a rule.").with_fields(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_malformed_and_what_is_out_of_range_is_invalid() {
        for text in ["ten", "", "1.5", "+1", "0x1", "-", "١"] {
            assert_eq!(
                parse_page(text, "10").map_err(|refusal| refusal.kind),
                Err(Kind::Malformed),
                "{text}"
            );
        }
        for (page, limit) in [
            ("0", "10"),
            ("-1", "10"),
            ("1", "0"),
            ("1", "101"),
            ("101", "100"),
            ("99999999999999999999", "1"),
        ] {
            let refused = parse_page(page, limit).map_err(|refusal| refusal.kind);
            assert_eq!(refused, Err(Kind::Invalid), "{page}/{limit}");
        }
        assert!(parse_page("100", "100").is_ok());
    }

    #[test]
    fn every_fault_of_a_list_is_422_with_the_name_of_its_parameter() {
        let text = |text: &str| Some(text.to_owned());
        let query = ListQuery {
            limit: text("ten"),
            from: text("yesterday"),
            author_id: text("{0190b2c4-5d1e-7a3f-8b6c-9e2d4f708152}"),
            order: text("best"),
            ..ListQuery::default()
        };
        let refusal = query.read(Scope::All, &Caller::anonymous()).map(drop).expect_err("a refusal");
        assert_eq!((refusal.kind, refusal.code.as_str()), (Kind::Invalid, "invalid"));
        let faults: Vec<_> =
            refusal.fields.iter().map(|fault| (&*fault.pointer, fault.code.as_str())).collect();
        for expected in [
            ("/limit", "not_a_number"),
            ("/from", "not_a_time"),
            ("/author_id", "not_an_id"),
            ("/order", "unknown_name"),
        ] {
            assert!(faults.contains(&expected), "{expected:?} {faults:?}");
        }
    }

    #[test]
    fn one_list_has_one_spelling_however_it_was_asked_for() {
        let text = |text: &str| Some(text.to_owned());
        let one =
            ListQuery { state: text("published"), fields: text("title,id,title"), ..ListQuery::default() };
        let other = ListQuery {
            order: text("newest"),
            limit: text("10"),
            fields: text("id,title"),
            include: text("content"),
            ..ListQuery::default()
        };
        let query = |query: ListQuery| {
            query.read(Scope::All, &Caller::anonymous()).expect("it can be asked for").at(None)
        };
        assert_eq!(query(one), "limit=10&fields=id%2Ctitle");
        assert_eq!(query(other), "limit=10&fields=id%2Ctitle");
        // A bare plus arrives as a space.
        for at in ["2026-11-21T09:00:00+01:00", "2026-11-21T09:00:00 01:00"] {
            let from = ListQuery { from: text(at), label: text("a&b=c d"), ..ListQuery::default() };
            assert_eq!(query(from), "label=a%26b%3Dc+d&from=2026-11-21T08%3A00%3A00.000Z&limit=10");
        }
    }
}
