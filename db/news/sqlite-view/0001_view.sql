-- The query side of one news section: the newest version of every article. All of it can be rebuilt from the events.
-- Ids are UUIDs as 16 bytes, times are milliseconds since 1970.

-- `document` is the article as JSON, but for two parts with columns of their own: the content, so that lists need not
-- read it, and the byline, so that erasing a person is one statement.
create table articles (
    id blob not null,
    version integer not null,
    state text not null,
    published_at integer,
    author_id blob not null,
    byline text not null,
    document text not null,
    content text not null,
    constraint articles_pk primary key (id)
) strict;

-- The order of every list.
create index articles_published on articles (published_at desc, id desc) where state = 'published';
create index articles_by_author on articles (author_id);

-- The view that `portal replay` builds beside the live one; it takes its place in one transaction.
create table articles_next (
    id blob not null,
    version integer not null,
    state text not null,
    published_at integer,
    author_id blob not null,
    byline text not null,
    document text not null,
    content text not null,
    constraint articles_next_pk primary key (id)
) strict;

-- Holds its one row while a view is being built: then news goes into both.
create table rebuild (
    running integer not null,
    constraint rebuild_pk primary key (running),
    constraint rebuild_is_one check (running = 1)
) strict;

-- Who was erased. Articles that come later, from a replay or a late message, get no byline of theirs.
create table erased (
    person blob not null,
    constraint erased_pk primary key (person)
) strict;
