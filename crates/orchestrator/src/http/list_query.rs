//! The query of a list: parsed, checked, and written again in one spelling.

use chassis::http::{Caller, query_time};
use kernel::{
    FieldFault, Kind, Label, MAX_LIMIT, NotAnId, Page, PageError, Refusal, Section, TextError, Timestamp,
    UserId, line, match_key, nfc,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::views::ARTICLE_FIELDS;
use crate::app::ListRequest;
use crate::domain::{Cursor, Filter, ListFingerprint, ListSlice, Order, Scope, Start, State};

/// The default number of articles on a page.
const DEFAULT_LIMIT: u32 = 10;
/// The longest byline, in characters.
const MAX_BYLINE: usize = 50;

/// The query parameters of a page by number.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `content` includes the texts. A page whose texts together exceed 2 MiB is refused (`page_too_large`),
    /// and only a few such pages may be requested at a time.
    include: Option<String>,
    /// The fields of each article, separated by commas: `fields=id,title`. The default is all fields except
    /// the text.
    fields: Option<String>,
}

/// The query parameters of a list by cursor.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only articles with this label, in any spelling: case, Unicode normalisation and outer spaces do not
    /// matter.
    label: Option<String>,
    /// Only articles with this byline. The Unicode normalisation does not matter.
    author: Option<String>,
    /// Only articles by this account.
    #[param(value_type = Option<uuid::Uuid>)]
    author_id: Option<String>,
    /// Only articles that were first published at this moment or later, such as `2026-11-21T08:00:00Z`.
    from: Option<String>,
    /// Only articles that were first published at this moment or earlier.
    to: Option<String>,
    /// `newest` (the default), `oldest` or `updated`. For staff also `waiting`: the longest in its state
    /// first. It needs a `state` besides `published`.
    order: Option<String>,
    /// For staff: `true` for only the caller's own articles. Like every list, it contains published articles
    /// unless `state` names other states. Not together with `author_id`.
    #[param(value_type = Option<bool>)]
    mine: Option<String>,
    /// For staff: only articles in one of these states, separated by commas. Authors see their own articles,
    /// editors all articles of their sections.
    state: Option<String>,
    /// The position to continue from: `next_cursor` or `prev_cursor` of another page of the same list.
    cursor: Option<String>,
    /// The number of articles, 1 to 100. The default is 10.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `content` includes the texts. Such a page ends at 2 MiB of text but has at least one article, and
    /// `next_cursor` continues. Only a few such pages may be requested at a time.
    include: Option<String>,
    /// The fields of each article, separated by commas: `fields=id,title`. The default is all fields except
    /// the text.
    fields: Option<String>,
}

/// The selection of fields of each article.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSelection {
    /// True if the text is included.
    pub content: bool,
    /// The selected fields, in the order of the document; `None` means the default.
    pub fields: Option<Vec<&'static str>>,
}

/// A parsed and checked query of a list.
#[derive(Debug, Clone)]
pub(super) struct ParsedList {
    /// The request for the use case.
    pub request: ListRequest,
    /// The fields of each article.
    pub selection: FieldSelection,
    /// The fingerprint of its cursors.
    pub fingerprint: ListFingerprint,
    /// True if it lists the caller's own articles.
    pub mine: bool,
    /// The cursor as it arrived.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Parses the selection of fields.
    pub fn selection(&self) -> Result<FieldSelection, Refusal> {
        parse_selection(self.include.as_deref(), self.fields.as_deref())
    }
}

impl ListQuery {
    /// Parses and checks the query, and reports all faults together. The cursor is checked only if everything
    /// else is valid.
    pub fn parse(self, scope: Scope, caller: &Caller) -> Result<ParsedList, Refusal> {
        let mut faults = Vec::new();
        let limit = parse_limit(self.limit.as_deref(), &mut faults);
        let order = self.order.as_deref().map(parse_order);
        let mine = parse_mine(self.mine.as_deref(), self.author_id.is_some(), &mut faults);
        let mut filter = Filter {
            label: check_text("/label", self.label, &mut faults, |text| Label::parse(text).map(|_| ()))
                .map(|label| match_key(&label)),
            author: check_text("/author", self.author, &mut faults, |text| line(text, MAX_BYLINE))
                .map(|byline| nfc(&byline).into_owned()),
            author_id: parse_account(self.author_id.as_deref(), &mut faults),
            from: parse_time("/from", self.from.as_deref(), &mut faults),
            to: parse_time("/to", self.to.as_deref(), &mut faults),
            states: parse_states(self.state.as_deref()),
        };
        let order = collect_faults(order.transpose(), &mut faults).flatten().unwrap_or_default();
        let selection =
            collect_faults(parse_selection(self.include.as_deref(), self.fields.as_deref()), &mut faults);
        let (Some(selection), true) = (selection, faults.is_empty()) else { return Err(invalid(faults)) };
        check_access(&filter, order, mine, caller)?;
        if mine {
            filter.author_id = caller.identity.as_ref().map(|identity| identity.user);
        }
        let fingerprint = ListFingerprint::of(scope, &filter, order);
        let (start, excluded) = parse_cursor(self.cursor.as_deref(), fingerprint, scope)?;
        let slice = ListSlice { filter, order, start, limit };
        let request = ListRequest { scope, slice, excluded, content: selection.content, whole: false };
        Ok(ParsedList { request, selection, fingerprint, mine, cursor: self.cursor })
    }
}

impl ParsedList {
    /// Writes the query of the same list at this cursor.
    pub fn query(&self, cursor: Option<&str>) -> String {
        let ListSlice { filter, order, limit, .. } = &self.request.slice;
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
        let author_id = filter.author_id.filter(|_| !self.mine).map(|id| id.to_string());
        add("author_id", author_id.as_deref());
        add("from", text(filter.from).as_deref());
        add("to", text(filter.to).as_deref());
        add("mine", self.mine.then_some("true"));
        add("order", (*order != Order::default()).then_some(order.as_str()));
        add("state", (!states.is_empty()).then(|| states.join(",")).as_deref());
        add("limit", Some(&limit.to_string()));
        for (name, value) in self.selection.pairs() {
            add(name, Some(&value));
        }
        add("cursor", cursor);
        query.finish()
    }
}

impl FieldSelection {
    /// Returns the parameters of the query.
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

/// Checks that only staff requests lists of work. The section decides which articles each of them may see.
/// How long an article is published is not work, so it has no such order.
fn check_access(filter: &Filter, order: Order, mine: bool, caller: &Caller) -> Result<(), Refusal> {
    let is_waiting = order == Order::Waiting;
    let for_staff = [
        (!filter.is_public(), "Only staff may use `state` for articles that are not published."),
        (is_waiting, "Only staff may use `order=waiting`."),
        (mine, "Only staff may use `mine`."),
    ];
    let Some((_, detail)) = for_staff.into_iter().find(|(is_used, _)| *is_used) else { return Ok(()) };
    if caller.identity.is_none() {
        return Err(Refusal::new(Kind::Unauthenticated, "unauthenticated", "Log in first."));
    }
    if caller.is_reader() {
        return Err(Refusal::new(Kind::Forbidden, "role_required", detail));
    }
    if is_waiting && filter.is_public() {
        let detail = "must name a state besides `published` for `order=waiting`, such as `in_review`";
        return Err(invalid(vec![FieldFault::new("/state", "required", detail)]));
    }
    Ok(())
}

/// Parses whether the list is of the caller's own articles.
fn parse_mine(text: Option<&str>, has_author: bool, faults: &mut Vec<FieldFault>) -> bool {
    let fault = match text {
        None | Some("false") => return false,
        Some("true") if !has_author => return true,
        Some("true") => FieldFault::new("/mine", "excluded", "must not be combined with `author_id`"),
        Some(_) => FieldFault::new("/mine", "unknown_name", "must be `true` or `false`"),
    };
    faults.push(fault);
    false
}

fn parse_cursor(
    cursor: Option<&str>,
    list: ListFingerprint,
    scope: Scope,
) -> Result<(Start, Vec<Section>), Refusal> {
    let Some(text) = cursor else { return Ok((Start::Offset(0), Vec::new())) };
    let cursor = Cursor::decode(text, list, scope).map_err(|error| bad_cursor(&error.to_string()))?;
    Ok((cursor.start(), cursor.excluded))
}

/// Builds the refusal of a cursor, with the reason.
pub(super) fn bad_cursor(reason: &str) -> Refusal {
    let fault = FieldFault::new("/cursor", "bad_cursor", reason);
    Refusal::new(Kind::Invalid, "bad_cursor", "The cursor does not belong to this list.")
        .with_fields(vec![fault])
}

/// Returns whether the texts are included.
pub(super) fn parse_include(include: Option<&str>) -> Result<bool, FieldFault> {
    match include {
        None => Ok(false),
        Some("content") => Ok(true),
        Some(_) => Err(FieldFault::new("/include", "unknown_name", "the only value is `content`")),
    }
}

fn parse_selection(include: Option<&str>, fields: Option<&str>) -> Result<FieldSelection, Refusal> {
    let mut faults = Vec::new();
    let included = parse_include(include).unwrap_or_else(|fault| {
        faults.push(fault);
        false
    });
    let names: Option<Vec<&str>> = fields.map(|names| names.split(',').collect());
    for name in names.iter().flatten().filter(|name| !ARTICLE_FIELDS.contains(name)) {
        let excerpt: String = name.chars().take(50).collect();
        faults.push(FieldFault::new(
            "/fields",
            "unknown_name",
            format!("an article has no field {excerpt:?}"),
        ));
    }
    if !faults.is_empty() {
        faults.truncate(20);
        return Err(invalid(faults));
    }
    // One spelling for any order of the names, and without repetitions.
    let fields =
        names.map(|names| ARTICLE_FIELDS.into_iter().filter(|name| names.contains(name)).collect::<Vec<_>>());
    let content = match &fields {
        Some(fields) => fields.contains(&"content"),
        None => included,
    };
    Ok(FieldSelection { content, fields })
}

fn parse_order(name: &str) -> Result<Order, Refusal> {
    Order::ALL.into_iter().find(|order| order.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = Order::ALL.into_iter().map(Order::as_str).collect();
        let detail = format!("must be one of {}", names.join(", "));
        invalid(vec![FieldFault::new("/order", "unknown_name", detail)])
    })
}

/// Parses the names of states, each once. The sections know which names exist.
fn parse_states(names: Option<&str>) -> Vec<State> {
    let mut names: Vec<&str> = names.map(|names| names.split(',').collect()).unwrap_or_default();
    names.sort_unstable();
    names.dedup();
    // `published` alone is the default.
    if names == [State::published().as_str()] {
        names.clear();
    }
    names.into_iter().map(State::new).collect()
}

/// Parses a time of the query; anything else is a fault.
pub(super) fn parse_time(
    pointer: &str,
    text: Option<&str>,
    faults: &mut Vec<FieldFault>,
) -> Option<Timestamp> {
    let at = query_time(text?).ok();
    if at.is_none() {
        let detail = "must be a time such as 2026-11-21T08:00:00.000Z";
        faults.push(FieldFault::new(pointer, "not_a_time", detail));
    }
    at
}

fn parse_account(text: Option<&str>, faults: &mut Vec<FieldFault>) -> Option<UserId> {
    let id = text?.parse();
    id.map_err(|error: NotAnId| faults.push(FieldFault::new("/author_id", "not_an_id", error.to_string())))
        .ok()
}

/// Checks a text and returns it; a violation is a fault.
fn check_text(
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

/// Returns the value, or adds the faults of the refusal.
fn collect_faults<T>(result: Result<T, Refusal>, faults: &mut Vec<FieldFault>) -> Option<T> {
    result.map_err(|refusal| faults.extend(refusal.fields)).ok()
}

pub(super) fn parse_limit(text: Option<&str>, faults: &mut Vec<FieldFault>) -> u32 {
    let Some(text) = text else { return DEFAULT_LIMIT };
    match parse_number(text) {
        Some(limit) if (1..=MAX_LIMIT).contains(&limit) => return limit,
        Some(limit) => {
            let detail = format!("must be between 1 and {MAX_LIMIT}, got {limit}");
            faults.push(FieldFault::new("/limit", "out_of_range", detail));
        }
        None => faults.push(FieldFault::new("/limit", "not_a_number", "must be a whole number")),
    }
    DEFAULT_LIMIT
}

/// Parses the page in a path. Text that is not a number is malformed; a number outside its range is invalid.
pub(super) fn parse_page(page: &str, limit: &str) -> Result<Page, Refusal> {
    let number = |pointer, text| parse_number(text).ok_or_else(|| not_a_number(pointer));
    let (number, size) = (number("/page", page)?, number("/limit", limit)?);
    Page::new(number, size).map_err(|error| {
        let (pointer, code) = match error {
            PageError::Number => ("/page", "too_small"),
            PageError::Limit => ("/limit", "out_of_range"),
            PageError::Reach => ("/page", "too_far"),
        };
        invalid(vec![FieldFault::new(pointer, code, error.to_string())])
    })
}

fn not_a_number(pointer: &str) -> Refusal {
    let fault = FieldFault::new(pointer, "not_a_number", "must be a whole number");
    let detail = "Page and limit in the path must be whole numbers.";
    Refusal::new(Kind::Malformed, "malformed_path", detail).with_fields(vec![fault])
}

/// Parses a whole number. A negative number becomes 0 and one that does not fit becomes the maximum, so that
/// the range check refuses both.
fn parse_number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if digits == text { digits.parse().unwrap_or(u32::MAX) } else { 0 })
}

/// Builds the refusal of a query or a path, with its faults.
pub(super) fn invalid(faults: Vec<FieldFault>) -> Refusal {
    Refusal::new(Kind::Invalid, "invalid", "The request is not valid; `errors` names each fault.")
        .with_fields(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_instead_of_a_number_is_malformed_and_a_number_out_of_range_is_invalid() {
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
            let result = parse_page(page, limit).map_err(|refusal| refusal.kind);
            assert_eq!(result, Err(Kind::Invalid), "{page}/{limit}");
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
        let refusal = query.parse(Scope::All, &Caller::anonymous()).map(drop).expect_err("a refusal");
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
    fn equal_lists_have_one_spelling() {
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
            query.parse(Scope::All, &Caller::anonymous()).expect("a valid query").query(None)
        };
        assert_eq!(query(one), "limit=10&fields=id%2Ctitle");
        assert_eq!(query(other), "limit=10&fields=id%2Ctitle");
        // A plus that is not escaped arrives as a space.
        for at in ["2026-11-21T09:00:00+01:00", "2026-11-21T09:00:00 01:00"] {
            let from = ListQuery { from: text(at), label: text("a&b=c d"), ..ListQuery::default() };
            assert_eq!(query(from), "label=a%26b%3Dc+d&from=2026-11-21T08%3A00%3A00.000Z&limit=10");
        }
    }
}
