-- One service's MongoDB database in FerretDB: a schema that belongs to its role, named as the role. FerretDB
-- asks for `create` on the whole database; that does not give access to the schemas of other roles.
grant connect, temporary, create on database ferretdb to :"service";
\connect ferretdb
select format('create schema if not exists %I authorization %I', :'service', :'service') \gexec
\connect postgres
