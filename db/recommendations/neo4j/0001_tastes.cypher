// Who likes what: (:Reader)-[:LIKES]->(:Label). Ids are UUIDs as text; moments are whole milliseconds since the Unix epoch.
//
// The Community edition has one database, so every node says whose it is: `tenant` is "portal" in production and another
// in each test. It comes first in every key and every index, and every statement names it. Every constraint is there before
// the first MERGE: without one, two that MERGE the same node at once make two nodes.
//
// Each statement ends with a semicolon at the end of its line and can be run again and again.

// What a reader said about consent last (`personalisation`, `history`, `version`, `since`), as far as it has come here. Of an
// erased reader the bare id is left, with `erased_at`: it keeps a late message from bringing anything back. Every change about
// a reader locks this node first, so that those of one reader follow each other and those of two readers do not.
CREATE CONSTRAINT reader_key IF NOT EXISTS
FOR (reader:Reader) REQUIRE (reader.tenant, reader.id) IS UNIQUE;

// A label, which says nothing about anybody; it stays when its last edge goes. `name` is what its spellings have in common (NFC,
// without case and outer spaces, made in code), which `is_key` confirms; nodes of an older program have names as they were typed.
//
// An edge to it has `shown` (the label as it was spelled in the last reading), `weight` (it halves every 14 days; the decay is lazy, so this is the one at `last_read_at`), `reads` (how
// many readings counted; 0 where a label was met in a repetition only: such an edge is never shown), `last_read_at`, and
// `heft`, which orders any two edges by weight, whatever the moment: log2(weight) + last_read_at / half-life.
CREATE CONSTRAINT label_key IF NOT EXISTS
FOR (label:Label) REQUIRE (label.tenant, label.name) IS UNIQUE;

// What is needed to count a reader and an article once in 30 minutes, whatever the order of delivery: one node a minute, so
// that somebody who reloads a page all day leaves a bounded trace. The first reading of the minute is the only one that can
// count (`first_at`, `message`, `labels`, `counted`). A worker forgets visits after a week. They are found by their keys and
// have no edges: an edge would cost two locks more and answer no question.
CREATE CONSTRAINT visit_key IF NOT EXISTS
FOR (visit:Visit) REQUIRE (visit.tenant, visit.reader, visit.article, visit.minute) IS UNIQUE;

CREATE INDEX visit_age IF NOT EXISTS
FOR (visit:Visit) ON (visit.tenant, visit.last_at);
