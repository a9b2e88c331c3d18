-- Leaves a mark in place of an account, as long as anybody may hold a copy from before. 1: the key; 1: life in milliseconds
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', 'erased')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
