-- Ends this attempt; an answer stays.
local name, id = unpack(ARGV)
if current_attempt(name, id, -1) then forget(name) end
return 1
