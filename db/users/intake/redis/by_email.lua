-- Returns the waiting registration of this e-mail.
local id = redis.call('HGET', mails, ARGV[1])
return id and redis.call('HGET', records, id)
