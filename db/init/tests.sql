-- The role of the tests. It creates its own schemas, databases and roles, and cannot read those of other
-- roles.
select 'create role tests login' where not exists (select from pg_roles where rolname = 'tests') \gexec
alter role tests login nosuperuser createdb createrole password :'password';
select 'create database tests owner tests' where not exists (select from pg_database where datname = 'tests') \gexec
revoke all on database tests from public;
