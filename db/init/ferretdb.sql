-- FerretDB keeps each MongoDB database as a schema of this one. A client's name and password are those of a role here, so
-- what one service may touch is said by PostgreSQL. Variable: `password`, of the role by which FerretDB looks around.
select 'create database ferretdb' where not exists (select from pg_database where datname = 'ferretdb') \gexec
revoke all on database ferretdb from public;
grant connect, temporary, create on database ferretdb to tests;

-- FerretDB learns once what there is, through its first client's eyes. This one sees every schema of this database (it may
-- connect to no other), and changes nothing.
select 'create role ferretdb login' where not exists (select from pg_roles where rolname = 'ferretdb') \gexec
alter role ferretdb login nosuperuser nocreatedb nocreaterole password :'password';
grant pg_read_all_data to ferretdb;
grant connect on database ferretdb to ferretdb;
