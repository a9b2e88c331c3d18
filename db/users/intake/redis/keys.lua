-- The intake in Redis: this text is put before each of the scripts in this folder. All keys of an intake have
-- one hash tag, so that they are on one node of a cluster, and each script is one step that runs completely
-- or not at all.
--
--   stream    waiting registrations in the order of arrival; each entry names the account and the trace of
--             its request
--   places    account -> its entry in the stream
--   records   account -> the registration, as versioned JSON; the password is a hash
--   mails     key of an e-mail -> the account that holds it
--   owners    account -> the key of the e-mail that it holds
--   leases    reserved e-mails by the time (milliseconds since 1970) at which they expire; an e-mail that is
--             only in `mails` is held until its registration is settled
--   due       taken entries by the time at which they may be taken again
--   failures  account -> why the last attempt to store it failed
--   buried    account -> a registration that will never succeed, as JSON with the reason, for an operator
--   answers   digest of an idempotency key -> JSON: fingerprint, account and time of the registration;
--             without the time, an attempt is in progress. An entry with a refusal was stored by an older
--             release, and does not count
--   answer_times  these digests by the time (milliseconds since 1970) at which they expire
--   answered  account -> the digest of the key with which it was registered
--
-- The consumer group of the stream records which consumer has taken which entry, and how often.
local stream, places, records, mails, owners, leases, due, failures, buried, answers, answer_times, answered = unpack(KEYS)
local group = 'workers'

local function free(email)
    local id = redis.call('HGET', mails, email)
    if id then redis.call('HDEL', owners, id) end
    redis.call('HDEL', mails, email)
    redis.call('ZREM', leases, email)
end

-- Returns the group's record of a taken entry: {entry, consumer, idle, attempts}.
local function find_claim(place)
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

-- Returns the unexpired entry of a key as a table, or nil.
local function find_answer(name, now)
    local ends = redis.call('ZSCORE', answer_times, name)
    local answer = ends and tonumber(ends) > tonumber(now) and redis.call('HGET', answers, name)
    answer = answer and cjson.decode(answer)
    return answer and not answer.refusal and answer or nil
end

-- Returns the entry of a key if this attempt is in progress.
local function current_attempt(name, id, now)
    local answer = find_answer(name, now)
    if answer and answer.id == id and not answer.registered_at then return answer end
end

local function keep(name, answer, ends)
    redis.call('HSET', answers, name, cjson.encode(answer))
    redis.call('ZADD', answer_times, ends, name)
end

local function forget(name)
    local answer = redis.call('HGET', answers, name)
    local id = answer and cjson.decode(answer).id
    if id and redis.call('HGET', answered, id) == name then redis.call('HDEL', answered, id) end
    redis.call('HDEL', answers, name)
    redis.call('ZREM', answer_times, name)
end

