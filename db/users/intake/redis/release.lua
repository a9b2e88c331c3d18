-- Frees an e-mail that this account has reserved and not used.
local email, id = unpack(ARGV)
if redis.call('HGET', mails, email) == id and redis.call('ZSCORE', leases, email) then free(email) end
return 1
