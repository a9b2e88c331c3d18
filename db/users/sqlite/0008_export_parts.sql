-- The parts of exports that other services have sent so far. They wait here until the person asks again, and
-- for a day at most. A complete export is answered and leaves nothing here.
create table export_parts (
    user_id blob not null,
    part text not null,
    service text not null,
    items text not null,                -- JSON objects, separated by commas
    next text not null,                 -- where the service goes on; empty: at the beginning
    is_complete integer not null,
    is_cut integer not null,            -- items were left out
    begun_at integer not null,
    at integer not null,                -- the last page
    constraint export_parts_pk primary key (user_id, part, service),
    constraint export_parts_user_fk foreign key (user_id) references users (id) on delete cascade
) strict;

create index export_parts_by_age on export_parts (begun_at);
