-- What the newsroom needs from the newest versions of its articles. Both tables follow the events in the same
-- transaction.

-- The articles that wait for their time of publication.
create table schedule (
    article uuid not null,
    publish_at timestamptz not null,
    constraint schedule_pk primary key (article)
);
create index schedule_by_time on schedule (publish_at, article);

-- The public corrections of all articles.
create table corrections (
    article uuid not null,
    version integer not null,        -- the version that the correction led to
    title text not null,         -- the present title of the article
    slug text not null,
    kind text not null,              -- correction, clarification, update or note
    message text not null,
    corrected_at timestamptz not null,
    is_public boolean not null,      -- readers see the article
    constraint corrections_pk primary key (article, version)
);
create index corrections_by_time on corrections (is_public, corrected_at, article, version);
