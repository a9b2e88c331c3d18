-- Forgets what counts as nothing, a few at a time; answers how many.
local now, limit = unpack(ARGV)
local late = redis.call('ZRANGEBYSCORE', answer_times, '-inf', now, 'LIMIT', 0, limit)
for _, name in ipairs(late) do forget(name) end
return #late
