-- Puts a registration aside. Its e-mail stays held.
local id, reason, now = unpack(ARGV)
local place = redis.call('HGET', places, id)
if place then
    local held = taken(place)
    local record = redis.call('HGET', records, id) or ''
    local attempts = held and held[4] or 0
    local told = cjson.encode({record = record, reason = reason, attempts = attempts, buried_at = now})
    redis.call('HSETNX', buried, id, told)
    remove(id)
end
return 1
