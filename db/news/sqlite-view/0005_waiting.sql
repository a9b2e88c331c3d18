-- Lists of work: in the order of the time since which an article waits in its state, or of its next
-- publication; and drafts that an editor has returned with a note.

-- `state_since` is when the article got into its state. `scheduled_at` is when it is published next; 0 if it
-- is not scheduled.
alter table articles add column state_since integer not null default 0;
alter table articles add column scheduled_at integer not null default 0;
alter table articles add column returned integer not null default 0;
alter table articles_next add column state_since integer not null default 0;
alter table articles_next add column scheduled_at integer not null default 0;
alter table articles_next add column returned integer not null default 0;

-- What is there gets them from its own document. Its times are RFC 3339 with milliseconds; without
-- `state_since` it is the time of the version.
update articles set
    state_since = cast(strftime('%s', substr(coalesce(document ->> '$.state_since', document ->> '$.updated_at'), 1, 19)) as integer) * 1000
        + cast(substr(coalesce(document ->> '$.state_since', document ->> '$.updated_at'), 21, 3) as integer),
    scheduled_at = coalesce(
        cast(strftime('%s', substr(document ->> '$.scheduled_at', 1, 19)) as integer) * 1000
            + cast(substr(document ->> '$.scheduled_at', 21, 3) as integer),
        0),
    returned = (document ->> '$.review_note') is not null;
update articles_next set
    state_since = cast(strftime('%s', substr(coalesce(document ->> '$.state_since', document ->> '$.updated_at'), 1, 19)) as integer) * 1000
        + cast(substr(coalesce(document ->> '$.state_since', document ->> '$.updated_at'), 21, 3) as integer),
    scheduled_at = coalesce(
        cast(strftime('%s', substr(document ->> '$.scheduled_at', 1, 19)) as integer) * 1000
            + cast(substr(document ->> '$.scheduled_at', 21, 3) as integer),
        0),
    returned = (document ->> '$.review_note') is not null;

create index articles_by_wait on articles (state, state_since, id);
-- An author's own articles in a state, and how many there are. Scheduled articles are few: they are found by
-- their state and then sorted.
create index articles_by_author_and_wait on articles (author_id, state, state_since, id);
