// The readers whose erasure is not true everywhere yet: what is theirs in the graph is gone, but dead letters of the broker may still
// name them. A node is made in the transaction of the erasure, and deleted once those were looked through.
CREATE CONSTRAINT erasure_duty_key IF NOT EXISTS
FOR (duty:ErasureDuty) REQUIRE (duty.tenant, duty.reader) IS UNIQUE;
