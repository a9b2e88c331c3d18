-- Gives back what this consumer still holds, to be taken again at a time; the attempt counts.
local id, consumer, free_at, reason = unpack(ARGV)
local place = redis.call('HGET', places, id)
local held = place and taken(place)
if held and held[2] == consumer then
    redis.call('ZADD', due, free_at, place)
    redis.call('HSET', failures, id, reason)
end
return 1
