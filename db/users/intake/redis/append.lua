-- Accepts a registration, and holds its e-mail until it is settled. Returns 1, or 0 if a lease was lost: that
-- of the e-mail, or that of the attempt under the idempotency key of the request, if it has one.
local email, id, now, record, trace, name, attempt, ends, registered_at = unpack(ARGV)
if redis.call('HGET', mails, email) ~= id then return 0 end
local lease = redis.call('ZSCORE', leases, email)
if not lease or tonumber(lease) <= tonumber(now) then return 0 end
if name then
    local answer = current_attempt(name, attempt, now)
    if not answer then return 0 end
    answer.registered_at = registered_at
    keep(name, answer, ends)
    redis.call('HSET', answered, attempt, name)
end
redis.call('ZREM', leases, email)
local place = redis.call('XADD', stream, '*', 'user', id, 'trace', trace)
redis.call('HSET', places, id, place)
redis.call('HSET', records, id, record)
return 1
