-- Ids are UUIDs of version 7: their order is that of time.
CREATE TABLE operations (
    id      TEXT PRIMARY KEY,
    machine TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
    running INTEGER NOT NULL,
    doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operations_by_machine ON operations (machine, id);
-- One at a time for each machine: held here too, whatever the program believes.
CREATE UNIQUE INDEX operations_running ON operations (machine) WHERE running;
