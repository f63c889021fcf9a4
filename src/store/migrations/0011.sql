-- What runs on each machine, as it called last. Apart from the machine's record, for it is rewritten with each call.
CREATE TABLE hosts (
    machine TEXT PRIMARY KEY REFERENCES machines (id) ON DELETE CASCADE,
    doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Hosts that phoned home before, where no later operation has begun to write. Nobody gave them a token for more calls.
INSERT INTO hosts (machine, doc)
SELECT machine, json_object(
    'machine', machine, 'operation', id, 'arming', json_extract(doc, '$.armings'),
    'host', json_extract(doc, '$.operation.host'), 'silent', json('false'))
FROM operations AS o
WHERE json_extract(doc, '$.operation.host') IS NOT NULL AND id = (
    SELECT max(w.id) FROM operations AS w WHERE w.machine = o.machine
    AND json_extract(w.doc, '$.operation.may_have_written')
    AND json_extract(w.doc, '$.operation.kind') IN ('rebuild', 'wipe'));
