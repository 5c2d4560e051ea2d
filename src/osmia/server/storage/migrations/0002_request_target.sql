-- The raw path or statement of a request: empty, except where an agent's `raw_namespaces` names both its ends.

ALTER TABLE @table(requests) ADD COLUMN IF NOT EXISTS target String CODEC(ZSTD(1)) AFTER command;
