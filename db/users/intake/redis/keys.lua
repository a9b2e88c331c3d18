-- The intake in Redis: this text comes before each of the scripts beside it. All keys of an intake have one hash tag, so that
-- they lie on one node of a cluster, and each script is one step that happens whole or not at all.
--
--   stream    what waits, in the order in which it came; each entry names the account and the trace of its request
--   places    account -> its entry in the stream
--   records   account -> the registration, as versioned JSON; the password is a hash
--   mails     e-mail in small letters -> the account that holds it
--   owners    the same from the other side
--   leases    e-mails that are held only until a time (milliseconds since 1970); what is in `mails` alone is held until it is settled
--   due       entries that were taken -> when they may be taken again
--   failures  account -> why it could not be stored last time
--   buried    account -> what will never succeed, as JSON with the reason, for somebody to look at
--   answers   what was asked for under a key, by a digest -> JSON: fingerprint, account, and when it was registered; without that
--             somebody is at it. With a refusal it is one of an older release, and counts as nothing
--   answer_times  the same digests, by the time (milliseconds since 1970) from which they count as nothing
--   answered  account -> the digest under which it was registered
--
-- Who has taken what, and how often, is what the consumer group of the stream knows.
local stream, places, records, mails, owners, leases, due, failures, buried, answers, answer_times, answered = unpack(KEYS)
local group = 'workers'

local function free(email)
    local id = redis.call('HGET', mails, email)
    if id then redis.call('HDEL', owners, id) end
    redis.call('HDEL', mails, email)
    redis.call('ZREM', leases, email)
end

-- What the group knows of an entry that was taken: {entry, consumer, idle, attempts}.
local function taken(place)
    local found = redis.pcall('XPENDING', stream, group, place, place, 1)
    return not found.err and found[1] or nil
end

local function remove(id)
    local place = redis.call('HGET', places, id)
    if place then
        redis.call('XACK', stream, group, place)
        redis.call('XDEL', stream, place)
        redis.call('ZREM', due, place)
    end
    redis.call('HDEL', places, id)
    redis.call('HDEL', records, id)
    redis.call('HDEL', failures, id)
end

-- What was asked for under a key, where its time is not over: a table, or nothing.
local function asked(name, now)
    local ends = redis.call('ZSCORE', answer_times, name)
    local told = ends and tonumber(ends) > tonumber(now) and redis.call('HGET', answers, name)
    told = told and cjson.decode(told)
    return told and not told.refusal and told or nil
end

-- The same, where this attempt is at it.
local function begun(name, id, now)
    local told = asked(name, now)
    if told and told.id == id and not told.registered_at then return told end
end

local function keep(name, told, ends)
    redis.call('HSET', answers, name, cjson.encode(told))
    redis.call('ZADD', answer_times, ends, name)
end

local function forget(name)
    local told = redis.call('HGET', answers, name)
    local id = told and cjson.decode(told).id
    if id and redis.call('HGET', answered, id) == name then redis.call('HDEL', answered, id) end
    redis.call('HDEL', answers, name)
    redis.call('ZREM', answer_times, name)
end

