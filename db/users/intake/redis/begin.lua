-- Begins an attempt under a key. Returns 'now' if it begins, 'running' if another attempt is in progress, or
-- 'before' with the fingerprint, the account and the time of the registration.
local name, fingerprint, id, ends, now, ahead = unpack(ARGV)
local answer = find_answer(name, now)
-- If the lease of an attempt ends later than any lease can, the clock that set it has gone back since.
local expired = answer and not answer.registered_at and not answer.refusal
    and tonumber(redis.call('ZSCORE', answer_times, name)) > tonumber(ahead)
if expired then answer = nil end
if not answer then
    forget(name)
    keep(name, {fingerprint = fingerprint, id = id}, ends)
    return {'now', '', '', false}
end
if not answer.registered_at then return {'running', '', '', false} end
return {'before', answer.fingerprint, answer.id, answer.registered_at}
