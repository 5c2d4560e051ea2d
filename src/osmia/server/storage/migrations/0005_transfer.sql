-- How long a response took from its first to its last byte: 0 where it came at once, or that is not known.

ALTER TABLE @table(requests) ADD COLUMN IF NOT EXISTS transfer_ns UInt64 CODEC(T64, ZSTD(1)) AFTER latency_ns;
