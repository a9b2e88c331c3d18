-- 1 where the registration is taken in and its e-mail held until it is settled, 0 where a lease was lost: that of the e-mail, or the
-- turn under the key with which it was asked for, if it was.
local email, id, now, record, trace, name, attempt, ends, registered_at = unpack(ARGV)
if redis.call('HGET', mails, email) ~= id then return 0 end
local lease = redis.call('ZSCORE', leases, email)
if not lease or tonumber(lease) <= tonumber(now) then return 0 end
if name then
    local told = begun(name, attempt, now)
    if not told then return 0 end
    told.registered_at = registered_at
    keep(name, told, ends)
    redis.call('HSET', answered, attempt, name)
end
redis.call('ZREM', leases, email)
local place = redis.call('XADD', stream, '*', 'user', id, 'trace', trace)
redis.call('HSET', places, id, place)
redis.call('HSET', records, id, record)
return 1
