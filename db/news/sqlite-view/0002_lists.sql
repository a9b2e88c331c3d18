-- Lists by label, author and time, in three orders, from any place on: each an index, so that a page costs the same among a thousand
-- articles and among a million, and no document is read that is not on the page. Totals are kept, not counted.

-- Where an article stands: `placed_at` is when it was first published, 0 where never; `updated_at` is when its version was made.
alter table articles add column placed_at integer not null default 0;
alter table articles add column updated_at integer not null default 0;
alter table articles_next add column placed_at integer not null default 0;
alter table articles_next add column updated_at integer not null default 0;

-- What is there gets its places from its own document; its times are RFC 3339 with milliseconds, as `2026-11-21T08:00:00.000Z`.
update articles set
    placed_at = coalesce(published_at, 0),
    updated_at = cast(strftime('%s', substr(document ->> '$.updated_at', 1, 19)) as integer) * 1000
        + cast(substr(document ->> '$.updated_at', 21, 3) as integer);
update articles_next set
    placed_at = coalesce(published_at, 0),
    updated_at = cast(strftime('%s', substr(document ->> '$.updated_at', 1, 19)) as integer) * 1000
        + cast(substr(document ->> '$.updated_at', 21, 3) as integer);

drop index articles_published;
drop index articles_by_author;
create index articles_by_place on articles (state, placed_at, id);
create index articles_by_update on articles (state, updated_at, id);
create index articles_by_author on articles (author_id, placed_at, id);
create index articles_by_byline on articles (byline, placed_at, id);

-- Every label of every article, in the order of its lists.
create table article_labels (
    label text not null,
    placed_at integer not null,
    article blob not null,
    constraint article_labels_pk primary key (label, placed_at, article)
) strict, without rowid;
create index article_labels_by_article on article_labels (article);
insert into article_labels (label, placed_at, article)
select distinct tag.value, articles.placed_at, articles.id
from articles, json_each(articles.document, '$.tags') as tag;

-- How many articles are in each state.
create table totals (
    state text not null,
    articles integer not null,
    constraint totals_pk primary key (state)
) strict, without rowid;
insert into totals (state, articles) select state, count(*) from articles group by state;

-- Both follow the articles in the same transaction, whichever statement changes them: an erasure, a projection, a rebuild.
create trigger articles_come after insert on articles begin
    insert into totals (state, articles) select new.state, 0 where not exists (select 1 from totals where state = new.state);
    update totals set articles = articles + 1 where state = new.state;
    insert into article_labels (label, placed_at, article)
    select distinct tag.value, new.placed_at, new.id from json_each(new.document, '$.tags') as tag;
end;
create trigger articles_change after update of state, placed_at, document on articles begin
    insert into totals (state, articles) select new.state, 0 where not exists (select 1 from totals where state = new.state);
    update totals set articles = articles - 1 where state = old.state;
    update totals set articles = articles + 1 where state = new.state;
    delete from article_labels where article = old.id;
    insert into article_labels (label, placed_at, article)
    select distinct tag.value, new.placed_at, new.id from json_each(new.document, '$.tags') as tag;
end;
create trigger articles_go after delete on articles begin
    update totals set articles = articles - 1 where state = old.state;
    delete from article_labels where article = old.id;
end;
