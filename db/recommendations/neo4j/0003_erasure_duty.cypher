// The readers whose erasure is not complete everywhere yet: their data in the graph is deleted, but dead
// letters of the broker may still name them. A node is created in the transaction of the erasure, and deleted
// when the dead letters were checked.
CREATE CONSTRAINT erasure_duty_key IF NOT EXISTS
FOR (duty:ErasureDuty) REQUIRE (duty.tenant, duty.reader) IS UNIQUE;
