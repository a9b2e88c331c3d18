-- Takes registrations that may be taken, the oldest first. Returns {account, attempts, trace, record} of
-- each.
local limit, now, free_at, consumer, ahead = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local batch = {}

local function add_to_batch(place, fields, attempts)
    local entry = {}
    for at = 1, #fields, 2 do entry[fields[at]] = fields[at + 1] end
    redis.call('ZADD', due, free_at, place)
    table.insert(batch, {entry.user, attempts, entry.trace, redis.call('HGET', records, entry.user)})
end

-- The server may have lost the group together with its data.
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')

-- Registrations that were taken before are older than those that were never taken. There are few of them:
-- those that workers hold, and some that failed.
local function parts(place)
    local time, number = string.match(place, '^(%d+)-(%d+)$')
    return tonumber(time), tonumber(number)
end
local again = redis.call('ZRANGEBYSCORE', due, '-inf', now)
-- If an entry is due later than after the longest pause, the clock that deferred it has gone back since.
for _, place in ipairs(redis.call('ZRANGEBYSCORE', due, '(' .. ahead, '+inf')) do table.insert(again, place) end
table.sort(again, function(one, other)
    local one_time, one_number = parts(one)
    local other_time, other_number = parts(other)
    if one_time ~= other_time then return one_time < other_time end
    return one_number < other_number
end)
for _, place in ipairs(again) do
    if #batch == limit then return batch end
    -- Claiming counts an attempt. From now on this consumer holds the entry, whichever consumer held it
    -- before.
    local claimed = redis.call('XCLAIM', stream, group, consumer, 0, place)
    if claimed[1] then
        add_to_batch(place, claimed[1][2], find_claim(place)[4])
    else
        redis.call('ZREM', due, place)
    end
end
if #batch == limit then return batch end

local new = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', limit - #batch, 'STREAMS', stream, '>')
for _, entry in ipairs(new and new[1][2] or {}) do add_to_batch(entry[1], entry[2], 1) end
return batch
