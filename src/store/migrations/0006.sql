-- Tokens of the operators' API. Of what is shown there is only its SHA-256.
CREATE TABLE tokens (
    name       TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    scope      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
