-- 1 where the e-mail is reserved now, 0 where somebody holds it.
local email, id, expires_at, now, ahead = unpack(ARGV)
-- What ran out goes first: then whoever is left holds what they hold. A few at a time, and the one that is asked for in any case.
for _, late in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 100)) do free(late) end
-- What ends later than any lease does was written by a clock that has gone back since.
for _, late in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. ahead, '+inf', 'LIMIT', 0, 100)) do free(late) end
local lease = redis.call('ZSCORE', leases, email)
if lease and (tonumber(lease) <= tonumber(now) or tonumber(lease) > tonumber(ahead)) then free(email) end
if redis.call('HEXISTS', mails, email) == 1 or redis.call('HEXISTS', owners, id) == 1 then return 0 end
redis.call('HSET', mails, email, id)
redis.call('HSET', owners, id, email)
redis.call('ZADD', leases, expires_at, email)
return 1
