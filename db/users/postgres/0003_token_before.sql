-- Of every refresh it is known what its token was made with, also if its client named no key: two tabs that refresh at the same time
-- get the same answer. So the key may be missing. Rows of older releases have all three or none, and go on to be read.
alter table sessions drop constraint sessions_retry;
alter table sessions add constraint sessions_previous
    check (num_nulls(previous, retry_salt) in (0, 2) and (retry_key is null or previous is not null));
