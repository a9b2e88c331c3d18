-- Defers a registration that this consumer still holds, until a time; the attempt counts.
local id, consumer, free_at, reason = unpack(ARGV)
local place = redis.call('HGET', places, id)
local claim = place and find_claim(place)
if claim and claim[2] == consumer then
    redis.call('ZADD', due, free_at, place)
    redis.call('HSET', failures, id, reason)
end
return 1
