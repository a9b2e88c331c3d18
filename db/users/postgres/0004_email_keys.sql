-- E-mails are compared in another form: NFC, simple case folding, the domain in ASCII. Folding is done in code, so the program renews
-- the keys of form 1 when it opens the database.
-- 2: today's form. 1: made by an older program. 0: made by an older program and kept, because an older account has the new key.
-- Of an address in ASCII both forms are equal.
alter table users add column key_form smallint not null default 2;
update users set key_form = 1 where octet_length(email) <> char_length(email);
-- A replica of the older program that still runs does not name the column: what it stores is of form 1.
alter table users alter column key_form set default 1;

-- What is to be renewed.
create index users_by_former_key on users (created_at, id) where key_form = 1;
