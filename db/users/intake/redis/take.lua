-- Takes what may be taken, the oldest first: {account, attempts, trace, record} of each.
local limit, now, free_at, consumer, ahead = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local batch = {}

local function hand_out(place, fields, attempts)
    local told = {}
    for at = 1, #fields, 2 do told[fields[at]] = fields[at + 1] end
    redis.call('ZADD', due, free_at, place)
    table.insert(batch, {told.user, attempts, told.trace, redis.call('HGET', records, told.user)})
end

-- The group may have gone with the data that it was made in.
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')

-- What was taken and came back, or never did, is older than what nobody has taken yet. There are never more of these than the
-- workers hold and a few that failed.
local function parts(place)
    local time, number = string.match(place, '^(%d+)-(%d+)$')
    return tonumber(time), tonumber(number)
end
local again = redis.call('ZRANGEBYSCORE', due, '-inf', now)
-- What is free later than after the longest pause was put off by a clock that has gone back since.
for _, place in ipairs(redis.call('ZRANGEBYSCORE', due, '(' .. ahead, '+inf')) do table.insert(again, place) end
table.sort(again, function(one, other)
    local one_time, one_number = parts(one)
    local other_time, other_number = parts(other)
    if one_time ~= other_time then return one_time < other_time end
    return one_number < other_number
end)
for _, place in ipairs(again) do
    if #batch == limit then return batch end
    -- Claiming counts the attempt, and it is this consumer's from now on, whoever held it.
    local claimed = redis.call('XCLAIM', stream, group, consumer, 0, place)
    if claimed[1] then
        hand_out(place, claimed[1][2], taken(place)[4])
    else
        redis.call('ZREM', due, place)
    end
end
if #batch == limit then return batch end

local new = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', limit - #batch, 'STREAMS', stream, '>')
for _, entry in ipairs(new and new[1][2] or {}) do hand_out(entry[1], entry[2], 1) end
return batch
