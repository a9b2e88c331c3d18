-- FerretDB keeps each MongoDB database as a schema of this one. A client's name and password are those of a role here, so
-- what one service may touch is said by PostgreSQL.
select 'create database ferretdb' where not exists (select from pg_database where datname = 'ferretdb') \gexec
revoke all on database ferretdb from public;
grant connect, temporary, create on database ferretdb to tests;
