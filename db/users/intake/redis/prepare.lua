-- Creates the group, and deletes the consumers of processes that ended long ago and hold no registration.
-- 1: the least idle time of such a consumer, in milliseconds
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local info = {}
    for at = 1, #consumer, 2 do info[consumer[at]] = consumer[at + 1] end
    if info.pending == 0 and info.idle > tonumber(ARGV[1]) then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, info.name)
    end
end
return 1
