-- The command side of one news section: every version of every article, only ever added to.
-- One database for each section. Replicas that start at once run this one after the other: the migrator holds an advisory
-- lock on the database. Versions count from 1.

-- One row for each version. The primary key is the optimistic lock: of two writers on one version, one finds the row.
-- `record` is a versioned JSON document kept as its exact text, never `jsonb`, because `hash` is taken over its bytes.
-- The chain is here from the first migration: a history can't be chained afterwards.
create table events (
    article uuid not null,
    version integer not null,
    happened_at timestamptz not null, -- for people who look; what counts stands in the record
    record text not null,
    prev_hash text not null,
    hash text not null,
    constraint events_pk primary key (article, version)
);

-- Names are personal data, and an event can't be changed when a person is erased: so the byline of a version stands
-- here, outside event and hash. Erasing blanks it.
create table bylines (
    article uuid not null,
    version integer not null,
    person uuid not null,
    byline text not null,
    constraint bylines_pk primary key (article, version),
    constraint bylines_of_an_event foreign key (article, version) references events (article, version)
);

create index bylines_by_person on bylines (person);

-- Who was erased. A token of theirs may live for some minutes longer, and what it writes gets no byline.
create table erased (
    person uuid not null,
    constraint erased_pk primary key (person)
);

-- The readable part of an address is unique in the section and never given to another article.
create table slugs (
    slug text collate "C" not null,
    article uuid not null,
    constraint slugs_pk primary key (slug),
    constraint slugs_one_for_an_article unique (article)
);
