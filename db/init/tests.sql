-- The role that the tests work as: it makes schemas, databases and roles of its own, and reads nobody else's.
select 'create role tests login' where not exists (select from pg_roles where rolname = 'tests') \gexec
alter role tests login nosuperuser createdb createrole password :'password';
select 'create database tests owner tests' where not exists (select from pg_database where datname = 'tests') \gexec
revoke all on database tests from public;
