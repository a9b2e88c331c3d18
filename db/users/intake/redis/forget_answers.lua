-- Forgets expired answers, at most a limit. Returns their number.
local now, limit = unpack(ARGV)
local expired = redis.call('ZRANGEBYSCORE', answer_times, '-inf', now, 'LIMIT', 0, limit)
for _, name in ipairs(expired) do forget(name) end
return #expired
