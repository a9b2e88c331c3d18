// The labels that readers like: (:Reader)-[:LIKES]->(:Label). Ids are UUIDs as text; moments are whole
// milliseconds since the Unix epoch.
//
// The Community edition has one database, so every node names its tenant: `tenant` is "portal" in production
// and unique in each test. It comes first in every key and every index, and every statement names it. Every
// constraint exists before the first MERGE: without it, two transactions that MERGE the same node at the same
// time create two nodes.
//
// Each statement ends with a semicolon at the end of its line and can be repeated.

// The newest consent of a reader that has arrived (`personalisation`, `history`, `version`, `since`). Of an
// erased reader only the id and `erased_at` are left, so that late messages are refused. Every change about a
// reader locks this node first, so changes about one reader follow each other, and changes about two readers
// do not.
CREATE CONSTRAINT reader_key IF NOT EXISTS
FOR (reader:Reader) REQUIRE (reader.tenant, reader.id) IS UNIQUE;

// A label, which contains nothing about a reader; it stays when its last edge is deleted. `name` is the
// common form of its spellings (NFC, without case and outer spaces, computed in code), which `is_key`
// confirms. Nodes of an older program have names as they were typed.
//
// An edge to it has these properties:
// * `shown`: the label as it was spelled in the last reading.
// * `weight`: it halves every 14 days; the decay is lazy, so this is the weight at `last_read_at`.
// * `reads`: the number of readings that counted. 0 if only a repetition had this label; such an edge is
//   never shown.
// * `last_read_at`.
// * `heft`: orders any two edges by weight at every moment: log2(weight) + last_read_at / half-life.
CREATE CONSTRAINT label_key IF NOT EXISTS
FOR (label:Label) REQUIRE (label.tenant, label.name) IS UNIQUE;

// The data that is needed to count a reader and an article once in 30 minutes in any order of delivery: one
// node a minute, so that a reader who reloads a page all day leaves a bounded amount of data. Only the first
// reading of the minute can count (`first_at`, `message`, `labels`, `counted`). A worker deletes visits after
// a week. They are found by their keys and have no edges: an edge would cost two more locks, and no query
// needs it.
CREATE CONSTRAINT visit_key IF NOT EXISTS
FOR (visit:Visit) REQUIRE (visit.tenant, visit.reader, visit.article, visit.minute) IS UNIQUE;

CREATE INDEX visit_age IF NOT EXISTS
FOR (visit:Visit) ON (visit.tenant, visit.last_at);
