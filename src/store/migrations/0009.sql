-- How far each webhook is among the events, by its name in the configuration.
CREATE TABLE webhook_cursors (
    webhook TEXT PRIMARY KEY,
    event   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Tries to send; the oldest go.
CREATE TABLE webhook_deliveries (
    id      INTEGER PRIMARY KEY,
    webhook TEXT NOT NULL,
    doc     TEXT NOT NULL
) STRICT;
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook, id);
