-- Keys that operations log in with, sealed under a key that is not in here; each goes with its operation's end.
CREATE TABLE login_keys (
    operation TEXT PRIMARY KEY REFERENCES operations (id) ON DELETE CASCADE,
    sealed    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- Steps that operations run on their hosts: rewritten with each try, so not in the operation's document.
CREATE TABLE operation_steps (
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    doc       TEXT NOT NULL,
    PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;
