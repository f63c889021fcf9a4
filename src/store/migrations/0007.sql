-- What profiles are filled with for one machine. Apart from its record, which is shown: some of it may be secret.
CREATE TABLE machine_values (
    machine TEXT PRIMARY KEY REFERENCES machines (id) ON DELETE CASCADE,
    doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Host names that a pattern or a pool gave: each to one machine.
CREATE TABLE hostnames (
    machine TEXT PRIMARY KEY REFERENCES machines (id) ON DELETE CASCADE,
    name    TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
