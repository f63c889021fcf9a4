-- Images that operators imported. The bytes are files named by their digest; several names may share them.
CREATE TABLE imports (
    name        TEXT PRIMARY KEY,
    sha256      TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    packing     TEXT NOT NULL,
    disk_bytes  INTEGER,
    pinned      INTEGER NOT NULL,
    imported_at INTEGER NOT NULL,
    imported_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
