-- What the newsroom needs from the newest versions of its articles. Both tables follow the events in the same
-- transaction.

-- The articles that wait for their time of publication.
create table schedule (
    article blob not null,
    publish_at integer not null, -- milliseconds since 1970
    constraint schedule_pk primary key (article)
) strict, without rowid;
create index schedule_by_time on schedule (publish_at, article);

-- The public corrections of all articles.
create table corrections (
    article blob not null,
    version integer not null,    -- the version that the correction led to
    title text not null,         -- the present title of the article
    slug text not null,
    kind text not null,          -- correction, clarification, update or note
    message text not null,
    corrected_at integer not null, -- milliseconds since 1970
    is_public integer not null,  -- 1 while readers see the article
    constraint corrections_pk primary key (article, version)
) strict;
create index corrections_by_time on corrections (is_public, corrected_at, article, version);
