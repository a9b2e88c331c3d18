-- 'now' where it begins, 'running' where somebody is at it, else 'before' with its fingerprint, its account, and when that was
-- registered.
local name, fingerprint, id, ends, now, ahead = unpack(ARGV)
local told = asked(name, now)
-- A turn that ends later than any turn does was begun by a clock that has gone back since.
local late = told and not told.registered_at and not told.refusal
    and tonumber(redis.call('ZSCORE', answer_times, name)) > tonumber(ahead)
if late then told = nil end
if not told then
    forget(name)
    keep(name, {fingerprint = fingerprint, id = id}, ends)
    return {'now', '', '', false}
end
if not told.registered_at then return {'running', '', '', false} end
return {'before', told.fingerprint, told.id, told.registered_at}
