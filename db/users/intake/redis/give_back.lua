-- Gives back a registration that this consumer still holds; one of another consumer stays. The attempt does
-- not count.
local id, consumer = unpack(ARGV)
local place = redis.call('HGET', places, id)
local claim = place and find_claim(place)
if claim and claim[2] == consumer then
    redis.call('XCLAIM', stream, group, consumer, 0, place, 'RETRYCOUNT', math.max(claim[4] - 1, 0), 'JUSTID')
    redis.call('ZADD', due, 0, place)
end
return 1
