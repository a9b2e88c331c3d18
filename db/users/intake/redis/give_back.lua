-- Gives back what this consumer still holds; somebody else's is none of its business. The attempt does not count.
local id, consumer = unpack(ARGV)
local place = redis.call('HGET', places, id)
local held = place and taken(place)
if held and held[2] == consumer then
    redis.call('XCLAIM', stream, group, consumer, 0, place, 'RETRYCOUNT', math.max(held[4] - 1, 0), 'JUSTID')
    redis.call('ZADD', due, 0, place)
end
return 1
