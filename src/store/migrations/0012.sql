-- The events of one operation, and those of one kind, are found without reading the others.
CREATE INDEX events_by_kind ON events (json_extract(doc, '$.kind'), id);
CREATE INDEX events_by_operation ON events (json_extract(doc, '$.operation'), id)
    WHERE json_extract(doc, '$.operation') IS NOT NULL;
