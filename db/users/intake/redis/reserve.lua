-- Reserves an e-mail. Returns 1, or 0 if an account holds it.
local email, id, expires_at, now, ahead = unpack(ARGV)
-- Expired leases are deleted first, so that the remaining ones are valid: some of all, and the requested one
-- in any case.
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 100)) do free(expired) end
-- If a lease ends later than any lease can, the clock that set it has gone back since.
for _, expired in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. ahead, '+inf', 'LIMIT', 0, 100)) do free(expired) end
local lease = redis.call('ZSCORE', leases, email)
if lease and (tonumber(lease) <= tonumber(now) or tonumber(lease) > tonumber(ahead)) then free(email) end
if redis.call('HEXISTS', mails, email) == 1 or redis.call('HEXISTS', owners, id) == 1 then return 0 end
redis.call('HSET', mails, email, id)
redis.call('HSET', owners, id, email)
redis.call('ZADD', leases, expires_at, email)
return 1
