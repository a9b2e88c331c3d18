-- Replaces an account by a mark that refuses older copies of it, until no task can hold one.
-- KEYS 1: the account; ARGV 1: the life of the mark in milliseconds
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', 'erased')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
