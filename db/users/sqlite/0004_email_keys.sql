-- E-mails are compared in another form: NFC, simple case folding, the domain in ASCII. Folding is done in code, so the program renews
-- the keys of form 1 when it opens the file.
-- 2: today's form. 1: made by an older program. 0: made by an older program and kept, because an older account has the new key.
-- Of an address in ASCII both forms are equal.
alter table users add column key_form integer not null default 2;
update users set key_form = 1 where email glob '*[^ -~]*';

-- What is to be renewed.
create index users_by_former_key on users (created_at, id) where key_form = 1;
