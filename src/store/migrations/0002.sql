-- The events of one machine, and the attempts still running, are found without reading the others.
CREATE INDEX events_by_machine ON events (machine, id) WHERE machine IS NOT NULL;
CREATE INDEX attempts_running ON attempts (id) WHERE running;
