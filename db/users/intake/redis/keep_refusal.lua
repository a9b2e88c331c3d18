-- Keeps a refusal as the answer, where this attempt is at it.
local name, id, ends, now, refusal = unpack(ARGV)
local told = begun(name, id, now)
if told then
    told.refusal = refusal
    keep(name, told, ends)
end
return 1
