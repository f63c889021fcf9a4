-- What was known of the clock when it was last written down: which start of the system, milliseconds since it, the time.
CREATE TABLE clock (
    id         INTEGER PRIMARY KEY CHECK (id = 0),
    boot       TEXT NOT NULL,
    since_boot INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
