-- 'now' where it begins, 'running' where somebody is at it, else 'before' with its fingerprint, its account, and when that was
-- registered.
local name, fingerprint, id, ends, now = unpack(ARGV)
local told = asked(name, now)
if not told then
    forget(name)
    keep(name, {fingerprint = fingerprint, id = id}, ends)
    return {'now', '', '', false}
end
if not told.registered_at then return {'running', '', '', false} end
return {'before', told.fingerprint, told.id, told.registered_at}
