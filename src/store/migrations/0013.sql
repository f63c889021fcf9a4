-- Public keys that may log in over SSH, with who added them and when (JSON).
CREATE TABLE ssh_keys (
    id          INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    doc         TEXT NOT NULL
) STRICT;
