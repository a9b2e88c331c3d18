// Run by the image once, when its data folder is new: the service's user, who may read and write the
// service's database and touches nothing else. Indexes are the service's own affair: it makes them when it
// starts.
const role = process.env.SERVICE_ROLE;
const password = require('fs').readFileSync(process.env.SERVICE_PASSWORD_FILE, 'utf8').trim();

db.getSiblingDB(role).createUser({
  user: role,
  pwd: password,
  roles: [{ role: 'readWrite', db: role }],
});
