-- Counts one more in a window that begins with its first count.
-- KEYS 1: the bucket; ARGV 1: now, 2: the window, both in milliseconds
local begun = tonumber(redis.call('HGET', KEYS[1], 'begun'))
if not begun or tonumber(ARGV[1]) - begun >= tonumber(ARGV[2]) then
    begun = tonumber(ARGV[1])
    redis.call('HSET', KEYS[1], 'begun', ARGV[1], 'times', 0)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif begun > tonumber(ARGV[1]) + 1000 then
    -- The clock that began the window has gone back since (replicas differ by less than a second): it begins
    -- now.
    begun = tonumber(ARGV[1])
    redis.call('HSET', KEYS[1], 'begun', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return { redis.call('HINCRBY', KEYS[1], 'times', 1), begun }
