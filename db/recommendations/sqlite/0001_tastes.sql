-- Who likes what. Ids are UUIDs as 16 bytes; moments are whole milliseconds since the Unix epoch, because text of varying
-- length does not sort.

-- The edges from readers to labels. A weight halves every 14 days; the decay is lazy, so `weight` is the one at
-- `last_read_at` and a later one is computed.
create table tastes (
    reader       blob    not null,
    label        text    not null,
    weight       real    not null,
    -- How many readings counted. 0 where a label was met in a repetition only: such an edge is never shown.
    reads        integer not null,
    last_read_at integer not null,
    -- What orders any two edges by weight, whatever the moment: log2(weight) + last_read_at / half-life.
    heft         real    not null,
    constraint tastes_pk primary key (reader, label),
    constraint tastes_weight_not_negative check (weight >= 0.0),
    constraint tastes_reads_not_negative check (reads >= 0)
) strict, without rowid;

create index tastes_by_label on tastes (label, heft desc, reader) where reads > 0;

-- What is needed to count a reader and an article once in 30 minutes, whatever the order of delivery: one row a minute,
-- so that somebody who reloads a page all day leaves a bounded trace. A worker forgets rows after a week.
create table visits (
    reader   blob    not null,
    article  blob    not null,
    minute   integer not null,
    -- The first reading of the minute is the only one that can count; its message and its labels are kept with it.
    first_at integer not null,
    last_at  integer not null,
    message  blob    not null,
    labels   text    not null,
    counted  integer not null,
    constraint visits_pk primary key (reader, article, minute),
    constraint visits_counted_is_a_truth check (counted in (0, 1))
) strict, without rowid;

create index visits_by_age on visits (last_at);

-- What each reader said last, as far as it has come here.
create table consents (
    reader          blob    not null,
    personalisation integer not null,
    history         integer not null,
    version         integer not null,
    since           integer not null,
    constraint consents_pk primary key (reader)
) strict, without rowid;

-- The bare ids of erased readers: they keep a late message from bringing anything back.
create table tombstones (
    reader    blob    not null,
    erased_at integer not null,
    constraint tombstones_pk primary key (reader)
) strict, without rowid;
