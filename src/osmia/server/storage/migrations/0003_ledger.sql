-- What an agent knows of itself: cost of its programs in the kernel, sampling, level of its governor and the steps that
-- led there, queue and spool, features and why they are off, processes whose traffic cannot be seen.

ALTER TABLE @table(ledger)
    ADD COLUMN IF NOT EXISTS bpf_ns UInt64 CODEC(Delta(8), ZSTD(1)),
    ADD COLUMN IF NOT EXISTS bpf_programs Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS bpf_program_ns Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS events UInt64 CODEC(Delta(8), ZSTD(1)),
    ADD COLUMN IF NOT EXISTS sampled UInt64 CODEC(Delta(8), ZSTD(1)),
    ADD COLUMN IF NOT EXISTS sample_every UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS level LowCardinality(String),
    ADD COLUMN IF NOT EXISTS queue_bytes UInt64 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS spool_bytes UInt64 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS export_error String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS features Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS feature_states Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS feature_reasons Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS unseen_commands Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS unseen_counts Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS step_ns Array(UInt64) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS step_from Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS step_to Array(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS step_causes Array(String) CODEC(ZSTD(1));
