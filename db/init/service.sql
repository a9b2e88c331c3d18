-- The role and the database of a service, for psql with the variables `service` and `password`. It may run
-- repeatedly: existing objects stay, and only the password is set again.
select format('create role %I login', :'service')
where not exists (select from pg_roles where rolname = :'service') \gexec
alter role :"service" login nosuperuser nocreatedb nocreaterole password :'password';

select format('create database %I owner %I', :'service', :'service')
where not exists (select from pg_database where datname = :'service') \gexec
-- By default every role may connect to every database. Here only the service may connect to its database, and
-- no role to the common one.
revoke all on database :"service" from public;
revoke all on database postgres from public;
