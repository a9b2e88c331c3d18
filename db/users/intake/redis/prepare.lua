-- Makes the group, and forgets the consumers of processes that ended long ago with nothing in hand.
-- 1: for how long they must have been idle, in milliseconds
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local told = {}
    for at = 1, #consumer, 2 do told[consumer[at]] = consumer[at + 1] end
    if told.pending == 0 and told.idle > tonumber(ARGV[1]) then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, told.name)
    end
end
return 1
