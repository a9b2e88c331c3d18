-- Puts a registration aside. Its e-mail stays reserved.
local id, reason, now = unpack(ARGV)
local place = redis.call('HGET', places, id)
if place then
    local claim = find_claim(place)
    local record = redis.call('HGET', records, id) or ''
    local attempts = claim and claim[4] or 0
    local entry = cjson.encode({record = record, reason = reason, attempts = attempts, buried_at = now})
    redis.call('HSETNX', buried, id, entry)
    remove(id)
end
return 1
