-- Spellings of one label are one label: `label` is what they have in common (NFC, without case and outer spaces, made in code), and
-- `shown` is the label as it was spelled in the last reading. Null: of an older program. When the program opens the file it joins
-- such edges with those to other spellings.
alter table tastes add column shown text;
update tastes set shown = label
where label not glob '*[^ -~]*' and label = lower(label) and label = trim(label);

create index tastes_of_older_spelling on tastes (reader, label) where shown is null;
