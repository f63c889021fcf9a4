-- When an import was last wanted, and where it came from (JSON). Downloads that have not brought theirs (JSON).
ALTER TABLE imports ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN origin TEXT NOT NULL DEFAULT '{}';
UPDATE imports SET used_at = imported_at;
CREATE TABLE downloads (
    name TEXT PRIMARY KEY,
    doc  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
