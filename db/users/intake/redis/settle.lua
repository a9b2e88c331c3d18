-- Removes a registration that is in the store now, and frees its e-mail.
local id = ARGV[1]
remove(id)
redis.call('HDEL', buried, id)
local email = redis.call('HGET', owners, id)
if email then free(email) end
return 1
