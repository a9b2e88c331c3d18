-- The registration is in the store: nothing of it stays, and its e-mail is free.
local id = ARGV[1]
remove(id)
redis.call('HDEL', buried, id)
local email = redis.call('HGET', owners, id)
if email then free(email) end
return 1
