-- Connections of each edge and port, whatever is spoken over them, and the queues of listening ports.
--
-- Laid out as the edges of 0001: agents send additive parts of ten-second windows, views roll them up. `edge_id` is that
-- of an edge whose protocol is "tcp": the map's edge where no protocol was recognised.

@define EDGE
    cluster LowCardinality(String),
    t DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    role LowCardinality(String),
    protocol LowCardinality(String),
    source_kind LowCardinality(String),
    source_namespace LowCardinality(String),
    source_name LowCardinality(String),
    destination_kind LowCardinality(String),
    destination_namespace LowCardinality(String),
    destination_name LowCardinality(String),
    destination_service LowCardinality(String),
    server_port UInt16
@end

@define EDGE_ID
    sipHash64(concat(source_kind, '/', source_namespace, '/', source_name, '|',
        destination_kind, '/', destination_namespace, '/', destination_name, '|', protocol))
@end

@define MEASURES
    opened SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    closed SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    refused SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    timed_out SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unreachable SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    failed_otherwise SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    cancelled SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    active_ms SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    client_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    server_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    segments SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    retransmits SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    client_resets SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    server_resets SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    connect_sum_ns SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    rtt_sum_ns SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    first_ns SimpleAggregateFunction(min, UInt64) CODEC(Delta(8), ZSTD(1)),
    last_ns SimpleAggregateFunction(max, UInt64) CODEC(Delta(8), ZSTD(1)),
    connect_hist SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1)),
    rtt_hist SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
@end

@define EDGE_KEY
    cluster, toStartOfHour(t), destination_namespace, destination_name, destination_kind,
    source_namespace, source_name, source_kind, protocol, edge_id, role, destination_service, server_port
@end

@define EDGE_OF_C
    c.cluster AS cluster, c.role AS role, c.protocol AS protocol, c.source_kind AS source_kind,
    c.source_namespace AS source_namespace, c.source_name AS source_name, c.destination_kind AS destination_kind,
    c.destination_namespace AS destination_namespace, c.destination_name AS destination_name,
    c.destination_service AS destination_service, c.server_port AS server_port, c.edge_id AS edge_id
@end

@define MEASURES_OF_C
    sum(c.opened) AS opened, sum(c.closed) AS closed, sum(c.refused) AS refused, sum(c.timed_out) AS timed_out,
    sum(c.unreachable) AS unreachable, sum(c.failed_otherwise) AS failed_otherwise, sum(c.cancelled) AS cancelled,
    sum(c.active_ms) AS active_ms, sum(c.client_bytes) AS client_bytes, sum(c.server_bytes) AS server_bytes,
    sum(c.segments) AS segments, sum(c.retransmits) AS retransmits, sum(c.client_resets) AS client_resets,
    sum(c.server_resets) AS server_resets, sum(c.connect_sum_ns) AS connect_sum_ns, sum(c.rtt_sum_ns) AS rtt_sum_ns,
    min(c.first_ns) AS first_ns, max(c.last_ns) AS last_ns,
    sumMap(c.connect_hist) AS connect_hist, sumMap(c.rtt_hist) AS rtt_hist
@end

@define EDGE_GROUP
    cluster, t, role, protocol, source_kind, source_namespace, source_name,
    destination_kind, destination_namespace, destination_name, destination_service, server_port, edge_id
@end

CREATE TABLE IF NOT EXISTS @table(connection_10s) (
    $EDGE,
    edge_id UInt64 MATERIALIZED $EDGE_ID,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(connection_1m) (
    $EDGE,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(connection_1h) (
    $EDGE,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toYYYYMM(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(connection_1m_mv) TO @table(connection_1m) AS
SELECT $EDGE_OF_C, toStartOfMinute(c.t) AS t, $MEASURES_OF_C FROM @table(connection_10s) AS c GROUP BY $EDGE_GROUP;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(connection_1h_mv) TO @table(connection_1h) AS
SELECT $EDGE_OF_C, toStartOfHour(c.t) AS t, $MEASURES_OF_C FROM @table(connection_1m) AS c GROUP BY $EDGE_GROUP;

CREATE TABLE IF NOT EXISTS @table(listeners) (
    cluster LowCardinality(String),
    t DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    kind LowCardinality(String),
    namespace LowCardinality(String),
    name LowCardinality(String),
    pod LowCardinality(String),
    node LowCardinality(String),
    port UInt16,
    dropped SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    waiting SimpleAggregateFunction(max, UInt32) CODEC(T64, ZSTD(1)),
    waiting_max SimpleAggregateFunction(max, UInt32) CODEC(T64, ZSTD(1))
) ENGINE = @engine(AggregatingMergeTree, name)
PARTITION BY toDate(t)
ORDER BY (cluster, namespace, name, kind, port, pod, node, t)
TTL t + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;
