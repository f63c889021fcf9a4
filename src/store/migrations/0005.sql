-- The last build of each artifact that the builder makes.
CREATE TABLE builds (
    name TEXT PRIMARY KEY,
    doc  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
