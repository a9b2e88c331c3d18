-- Labels and bylines are matched by keys, which the program makes: labels in NFC, without case and outer spaces, bylines in NFC. What was
-- typed stays in the document and in `byline`. And a byline is the name of an account, or text like the title.

-- A JSON list of keys. Null in rows of an older program whose tags are keys themselves; the program fills in the others when it opens
-- the file.
alter table articles add column labels text;
alter table articles_next add column labels text;
-- The key of the byline, if that is another text.
alter table articles add column byline_key text;
alter table articles_next add column byline_key text;
-- The account whose name the byline is: its erasure blanks it. Null in rows of an older program: the author's. The nil id: nobody's.
alter table articles add column byline_of blob;
alter table articles_next add column byline_of blob;

drop index articles_by_byline;
create index articles_by_byline on articles (coalesce(byline_key, byline), placed_at, id);
create index articles_by_byline_of on articles (byline_of);

-- As before, but a label's list is that of its key.
drop trigger articles_come;
drop trigger articles_change;
create trigger articles_come after insert on articles begin
    insert into totals (state, articles) select new.state, 0 where not exists (select 1 from totals where state = new.state);
    update totals set articles = articles + 1 where state = new.state;
    insert into article_labels (label, placed_at, article)
    select distinct tag.value, new.placed_at, new.id from json_each(coalesce(new.labels, new.document -> '$.tags')) as tag;
end;
create trigger articles_change after update of state, placed_at, labels, document on articles begin
    insert into totals (state, articles) select new.state, 0 where not exists (select 1 from totals where state = new.state);
    update totals set articles = articles - 1 where state = old.state;
    update totals set articles = articles + 1 where state = new.state;
    delete from article_labels where article = old.id;
    insert into article_labels (label, placed_at, article)
    select distinct tag.value, new.placed_at, new.id from json_each(coalesce(new.labels, new.document -> '$.tags')) as tag;
end;

-- What the program has done once with what an older one left behind.
create table done (
    work text not null,
    constraint done_pk primary key (work)
) strict, without rowid;
