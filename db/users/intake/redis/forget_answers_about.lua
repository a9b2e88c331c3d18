-- Forgets the answer that names this account.
local name = redis.call('HGET', answered, ARGV[1])
if name then forget(name) end
return 1
