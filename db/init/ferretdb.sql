-- FerretDB stores each MongoDB database as a schema of this database. A client uses the name and password of
-- a role here, so PostgreSQL decides what a service may access. Variable: `password`, of the role by which
-- FerretDB reads the catalog.
select 'create database ferretdb' where not exists (select from pg_database where datname = 'ferretdb') \gexec
revoke all on database ferretdb from public;
grant connect, temporary, create on database ferretdb to tests;

-- FerretDB reads the catalog once, with the rights of its first client. This role sees every schema of this
-- database (it may not connect to another one) and changes nothing.
select 'create role ferretdb login' where not exists (select from pg_roles where rolname = 'ferretdb') \gexec
alter role ferretdb login nosuperuser nocreatedb nocreaterole password :'password';
grant pg_read_all_data to ferretdb;
grant connect on database ferretdb to ferretdb;
