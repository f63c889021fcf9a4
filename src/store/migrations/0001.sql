-- Documents (`doc`) are the JSON of the contract's types; a value stands in a column of its own only
-- where the database itself selects, orders or restricts by it. Times are milliseconds since 1970 UTC.

CREATE TABLE machines (
    id         TEXT PRIMARY KEY,
    name       TEXT UNIQUE COLLATE NOCASE,
    created_at INTEGER NOT NULL,
    doc        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT keeps the highest number ever used, so that no number is used twice.
CREATE TABLE inventories (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    machine TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    doc     TEXT NOT NULL
) STRICT;
CREATE INDEX inventories_by_machine ON inventories (machine, id);

CREATE TABLE attempts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    machine TEXT REFERENCES machines (id) ON DELETE CASCADE,
    running INTEGER NOT NULL,
    doc     TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_machine ON attempts (machine, id);

CREATE TABLE stages (
    attempt INTEGER NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (attempt, seq)
) STRICT, WITHOUT ROWID;

-- Thousands of leases are saved each second: numbers where numbers do, no document.
CREATE TABLE leases (
    address    INTEGER PRIMARY KEY,
    network    TEXT NOT NULL,
    mac        BLOB NOT NULL,
    client_id  TEXT,
    hostname   TEXT,
    state      INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    machine TEXT,
    actor   TEXT NOT NULL,
    doc     TEXT NOT NULL
) STRICT;
