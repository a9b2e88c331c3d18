-- One service's role and database, for psql with the variables `service` and `password`. It may run again and again: what is
-- there stays, only the password is set anew.
select format('create role %I login', :'service')
where not exists (select from pg_roles where rolname = :'service') \gexec
alter role :"service" login nosuperuser nocreatedb nocreaterole password :'password';

select format('create database %I owner %I', :'service', :'service')
where not exists (select from pg_database where datname = :'service') \gexec
-- By default everybody may connect to every database. Here only the service itself does, and nobody to the common one.
revoke all on database :"service" from public;
revoke all on database postgres from public;
