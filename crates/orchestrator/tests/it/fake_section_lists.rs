//! The lists of a fake section, by the definition in `calls.proto`.

use kernel::match_key;
use proto::news::v1::*;

fn passes(article: &Article, request: &ListArticlesRequest) -> bool {
    let states: Vec<&str> = match request.states.is_empty() {
        true => vec!["published"],
        false => request.states.iter().map(String::as_str).collect(),
    };
    let published = |holds: &dyn Fn(i64) -> bool| article.published_at_ms.is_some_and(holds);
    states.contains(&article.state.as_str())
        && request.label.as_ref().is_none_or(|label| article.tags.iter().any(|tag| match_key(tag) == *label))
        && request.author.as_ref().is_none_or(|name| *name == article.author)
        && request.author_id.as_ref().is_none_or(|id| *id == article.author_id)
        && request.from_ms.is_none_or(|from| published(&|at| at >= from))
        && request.to_ms.is_none_or(|to| published(&|at| at <= to))
}

/// Returns the sort key of an article.
fn place(article: &Article, order: ListOrder) -> (i64, String) {
    let at = match order {
        ListOrder::Updated => article.updated_at_ms,
        ListOrder::Waiting => article.state_since_ms.unwrap_or(article.updated_at_ms),
        ListOrder::Newest | ListOrder::Oldest => article.published_at_ms.unwrap_or_default(),
    };
    (at, article.id.clone())
}

pub fn list(all: &[Article], request: &ListArticlesRequest) -> ListArticlesReply {
    let order = request.order();
    let mut found: Vec<&Article> = all.iter().filter(|article| passes(article, request)).collect();
    found.sort_by_key(|article| place(article, order));
    let down = matches!(order, ListOrder::Newest | ListOrder::Updated);
    if down {
        found.reverse();
    }
    let total = found.len() as u64;
    let of = |position: &ListPosition| (position.at_ms, position.id.clone());
    let is_after = |article: &&Article, position: &ListPosition| match down {
        true => place(article, order) < of(position),
        false => place(article, order) > of(position),
    };
    let limit = request.limit as usize;
    let found: Vec<&Article> = match (&request.after, &request.before) {
        (Some(after), _) => found.into_iter().filter(|each| is_after(each, after)).take(limit).collect(),
        (_, Some(before)) => {
            let reached = |each: &&Article| !is_after(each, before) && place(each, order) != of(before);
            let found: Vec<&Article> = found.into_iter().filter(reached).collect();
            found[found.len().saturating_sub(limit)..].to_vec()
        }
        _ => found.into_iter().skip(request.offset as usize).take(limit).collect(),
    };
    if request.keys_only {
        let key = |article: &&Article| {
            let (at_ms, id) = place(article, order);
            ListPosition { at_ms, id }
        };
        let keys = found.iter().map(key).collect();
        return ListArticlesReply { total, keys, ..ListArticlesReply::default() };
    }
    let strip = |article: &Article| Article {
        content: article.content.clone().filter(|_| request.include_content),
        ..article.clone()
    };
    let articles = found.into_iter().map(strip).collect();
    ListArticlesReply { articles, total, ..ListArticlesReply::default() }
}

pub fn pick(all: &[Article], request: &GetArticlesRequest) -> ListArticlesReply {
    let filter = ListArticlesRequest { states: request.states.clone(), ..ListArticlesRequest::default() };
    let find = |id: &String| all.iter().find(|article| article.id == *id && passes(article, &filter));
    let strip = |article: &Article| Article {
        content: article.content.clone().filter(|_| !request.without_content),
        ..article.clone()
    };
    let found: Vec<&Article> = request.ids.iter().filter_map(find).collect();
    let bytes = |article: &Article| article.content.as_ref().map_or(0, String::len) as u64;
    if request.sizes_only {
        let size = |article: &&Article| TextSize { id: article.id.clone(), bytes: bytes(article) };
        return ListArticlesReply { sizes: found.iter().map(size).collect(), ..ListArticlesReply::default() };
    }
    let fit = match request.without_content {
        true => found.len(),
        false => kernel::texts_that_fit(found.iter().map(|article| bytes(article))),
    };
    let cut = fit < found.len();
    let articles = found.into_iter().take(fit).map(strip).collect();
    ListArticlesReply { articles, cut, ..ListArticlesReply::default() }
}

/// Returns the work of the section for an editor who wrote nothing.
pub fn desk(all: &[Article]) -> GetDeskReply {
    let group = |is_in: &dyn Fn(&Article) -> bool, at: &dyn Fn(&Article) -> Option<i64>| {
        let mut articles: Vec<Article> = all.iter().filter(|article| is_in(article)).cloned().collect();
        articles.sort_by_key(|article| (at(article), article.id.clone()));
        let total = articles.len() as u64;
        articles.truncate(20);
        Some(DeskGroup { articles, total })
    };
    let count = |state: &str| StateCount {
        state: state.to_owned(),
        articles: all.iter().filter(|article| article.state == state).count() as u64,
    };
    let since = |article: &Article| article.state_since_ms;
    GetDeskReply {
        counts: ["draft", "in_review", "scheduled", "published"].map(count).to_vec(),
        to_review: group(&|article| article.state == "in_review", &since),
        returned: group(&|article| article.review_note.is_some(), &since),
        scheduled: group(&|article| article.state == "scheduled", &|article| article.scheduled_at_ms),
    }
}
