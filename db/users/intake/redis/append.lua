-- 1 where the registration is taken in and its e-mail held until it is settled, 0 where the lease was lost.
local email, id, now, record, trace = unpack(ARGV)
if redis.call('HGET', mails, email) ~= id then return 0 end
local lease = redis.call('ZSCORE', leases, email)
if not lease or tonumber(lease) <= tonumber(now) then return 0 end
redis.call('ZREM', leases, email)
local place = redis.call('XADD', stream, '*', 'user', id, 'trace', trace)
redis.call('HSET', places, id, place)
redis.call('HSET', records, id, record)
return 1
