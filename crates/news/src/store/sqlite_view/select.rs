//! Queries of the view.

use kernel::{ArticleId, Timestamp, UserId};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::ArticleRow;
use crate::domain::{Filter, Order, Part, Position, Start, State};
use crate::ports::StateCounts;

/// A query for the articles that pass a filter. If the filter names a label, it reads the list of that label,
/// which is sorted by publication.
struct ArticleQuery<'a> {
    text: QueryBuilder<Sqlite>,
    filter: &'a Filter,
}

impl<'a> ArticleQuery<'a> {
    fn new(columns: &str, filter: &'a Filter) -> Self {
        let from = match filter.label {
            Some(_) => "article_labels l join articles a on a.id = l.article",
            None => "articles a",
        };
        let mut query = Self { text: QueryBuilder::new(format!("select {columns} from {from}")), filter };
        query.add_filter();
        query
    }

    fn add_filter(&mut self) {
        let (text, filter) = (&mut self.text, self.filter);
        text.push(" where a.state in (");
        let mut states = text.separated(", ");
        for state in filter.states() {
            states.push_bind(state.as_str());
        }
        text.push(")");
        if let Some(label) = filter.label_key() {
            text.push(" and l.label = ").push_bind(label);
        }
        if let Some(byline) = filter.byline_key() {
            text.push(" and coalesce(a.byline_key, a.byline) = ").push_bind(byline.into_owned());
        }
        if let Some(author) = filter.author {
            text.push(" and a.author_id = ").push_bind(author.uuid());
        }
        if let Some(author) = filter.except_author {
            text.push(" and a.author_id <> ").push_bind(author.uuid());
        }
        if filter.returned {
            text.push(" and a.returned = 1");
        }
        for (bound, compare) in [(filter.from, ">="), (filter.to, "<=")] {
            if let Some(bound) = bound {
                // An article that was never published has no such time and passes no bound.
                text.push(format!(" and a.published_at {compare} ")).push_bind(bound.millis());
                text.push(format!(" and {} {compare} ", at_of(filter, Order::Newest)))
                    .push_bind(bound.millis());
            }
        }
    }

    /// Adds start, direction and limit of a part.
    fn part(mut self, part: &Part) -> QueryBuilder<Sqlite> {
        let (at, id) = (at_of(self.filter, part.order), id_of(self.filter, part.order));
        let text = &mut self.text;
        let (direction, compare) = if part.descends() { ("desc", "<") } else { ("asc", ">") };
        if let Start::After(place) | Start::Before(place) = part.start {
            text.push(format!(" and ({at}, {id}) {compare} (")).push_bind(place.at.millis());
            text.push(", ").push_bind(place.id.uuid()).push(")");
        }
        text.push(format!(" order by {at} {direction}, {id} {direction} limit ")).push_bind(part.limit);
        if let Start::Offset(offset) = part.start {
            text.push(" offset ").push_bind(offset);
        }
        self.text
    }
}

/// Returns the column by which an order sorts. The list of a label has its own copy.
fn at_of(filter: &Filter, order: Order) -> &'static str {
    match (order, &filter.label) {
        (Order::Updated, _) => "a.updated_at",
        (Order::Waiting, _) => "a.state_since",
        (Order::Due, _) => "a.scheduled_at",
        (Order::Newest | Order::Oldest, Some(_)) => "l.placed_at",
        (Order::Newest | Order::Oldest, None) => "a.placed_at",
    }
}

fn id_of(filter: &Filter, order: Order) -> &'static str {
    match (order, &filter.label) {
        (Order::Newest | Order::Oldest, Some(_)) => "l.article",
        _ => "a.id",
    }
}

/// Reads the articles of a part, without their texts.
pub(super) async fn rows(tx: &mut SqliteConnection, part: &Part) -> Result<Vec<ArticleRow>, sqlx::Error> {
    let columns = "a.byline, a.byline_of, a.document, '' as content";
    let mut query = ArticleQuery::new(columns, &part.filter).part(part);
    let mut rows: Vec<ArticleRow> = query.build_query_as().fetch_all(tx).await?;
    if part.looks_back() {
        rows.reverse();
    }
    Ok(rows)
}

/// Reads the positions of a part. An index is enough for it.
pub(super) async fn positions(tx: &mut SqliteConnection, part: &Part) -> Result<Vec<Position>, sqlx::Error> {
    let columns = format!("{}, {}", at_of(&part.filter, part.order), id_of(&part.filter, part.order));
    let mut query = ArticleQuery::new(&columns, &part.filter).part(part);
    let rows: Vec<(i64, uuid::Uuid)> = query.build_query_as().fetch_all(tx).await?;
    let position = |(at, id)| Position { at: Timestamp::from_millis(at), id: ArticleId::new(id) };
    let mut positions: Vec<Position> = rows.into_iter().map(position).collect();
    if part.looks_back() {
        positions.reverse();
    }
    Ok(positions)
}

/// Returns the number of articles that pass. Totals by state are stored; all others are counted.
pub(super) async fn total(tx: &mut SqliteConnection, filter: &Filter) -> Result<u64, sqlx::Error> {
    let mut query = if filter.is_by_state_alone() {
        let mut text = QueryBuilder::new("select coalesce(sum(articles), 0) from totals where state in (");
        let mut states = text.separated(", ");
        for state in filter.states() {
            states.push_bind(state.as_str());
        }
        text.push(")");
        text
    } else {
        ArticleQuery::new("count(*)", filter).text
    };
    let total: i64 = query.build_query_scalar().fetch_one(tx).await?;
    Ok(u64::try_from(total).unwrap_or_default())
}

/// Returns the number of articles in each state. The totals of all articles are stored; those of one author
/// are counted.
pub(super) async fn count_states(
    tx: &mut SqliteConnection,
    author: Option<UserId>,
) -> Result<StateCounts, sqlx::Error> {
    let rows: Vec<(String, i64)> = match author {
        None => sqlx::query_as("select state, articles from totals").fetch_all(tx).await?,
        Some(author) => {
            sqlx::query_as("select state, count(*) from articles where author_id = ? group by state")
                .bind(author.uuid())
                .fetch_all(tx)
                .await?
        }
    };
    let count = |state: State| {
        let row = rows.iter().find(|(name, _)| *name == state.as_str());
        (state, row.and_then(|(_, articles)| u64::try_from(*articles).ok()).unwrap_or_default())
    };
    Ok(State::ALL.map(count).to_vec())
}

/// Reads those of some articles that pass, in no order.
pub(super) async fn picked(
    tx: &mut SqliteConnection,
    ids: &[ArticleId],
    filter: &Filter,
    with_content: bool,
) -> Result<Vec<ArticleRow>, sqlx::Error> {
    let content = if with_content { "a.content" } else { "'' as content" };
    let columns = format!("a.byline, a.byline_of, a.document, {content}");
    named(&columns, ids, filter).build_query_as().fetch_all(tx).await
}

/// Reads the sizes of the texts of the same articles. SQLite finds them in the head of a row and does not
/// read the texts.
pub(super) async fn sizes(
    tx: &mut SqliteConnection,
    ids: &[ArticleId],
    filter: &Filter,
) -> Result<Vec<(uuid::Uuid, i64)>, sqlx::Error> {
    named("a.id, octet_length(a.content)", ids, filter).build_query_as().fetch_all(tx).await
}

fn named(columns: &str, ids: &[ArticleId], filter: &Filter) -> QueryBuilder<Sqlite> {
    let mut query = ArticleQuery::new(columns, filter).text;
    query.push(" and a.id in (");
    let mut keys = query.separated(", ");
    for id in ids {
        keys.push_bind(id.uuid());
    }
    query.push(")");
    query
}
