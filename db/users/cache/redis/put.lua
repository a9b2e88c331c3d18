-- Caches an account, unless a newer version is cached or it was forgotten.
-- KEYS 1: the account; ARGV 1: version, 2: record, 3: life in milliseconds
local there = redis.call('HGET', KEYS[1], 'version')
if there == 'erased' or there and tonumber(there) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'user', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
