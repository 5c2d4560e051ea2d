-- Telemetry tables. storage/migrations.py renders this file for either engine:
--   @table(x)            the table's name, on a cluster its local part
--   @engine(X, column)   the engine, on a cluster replicated and sharded by that column (a third word is X's version)
--   @dedup               how many insert tokens the engine remembers
--   @define NAME … @end  a text that $NAME stands for below
--
-- `endpoint_*` has one row per edge x endpoint x status x step, `edge_*` one per edge x step. Agents send windows of
-- ten seconds in additive parts, so the first table is already a rollup; the others follow by materialized views.
-- The keys put the hour, then the two ends, before the time: one edge's series is read from few granules.
-- `edge_id` depends on the ends and the protocol alone; it stands in the keys because merging requires it.

@define EDGE
    cluster LowCardinality(String),
    t DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    role LowCardinality(String),
    protocol LowCardinality(String),
    is_tls Bool,
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

@define ENDPOINT
    method LowCardinality(String),
    template String CODEC(ZSTD(1)),
    status LowCardinality(String)
@end

@define MEASURES
    n SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_max SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)),
    request_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    response_bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    first_ns SimpleAggregateFunction(min, UInt64) CODEC(Delta(8), ZSTD(1)),
    last_ns SimpleAggregateFunction(max, UInt64) CODEC(Delta(8), ZSTD(1)),
    hist SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
@end

@define EDGE_KEY
    cluster, toStartOfHour(t), destination_namespace, destination_name, destination_kind,
    source_namespace, source_name, source_kind, protocol, edge_id, role, is_tls, destination_service, server_port
@end

-- What a rollup selects from the finer one, here called e.
@define EDGE_OF_E
    e.cluster AS cluster, e.role AS role, e.protocol AS protocol, e.is_tls AS is_tls,
    e.source_kind AS source_kind, e.source_namespace AS source_namespace, e.source_name AS source_name,
    e.destination_kind AS destination_kind, e.destination_namespace AS destination_namespace,
    e.destination_name AS destination_name, e.destination_service AS destination_service,
    e.server_port AS server_port, e.edge_id AS edge_id
@end

@define ENDPOINT_OF_E
    e.method AS method, e.template AS template, e.status AS status
@end

@define MEASURES_OF_E
    sum(e.n) AS n, sum(e.errors) AS errors, sum(e.latency_sum) AS latency_sum, max(e.latency_max) AS latency_max,
    sum(e.request_bytes) AS request_bytes, sum(e.response_bytes) AS response_bytes,
    min(e.first_ns) AS first_ns, max(e.last_ns) AS last_ns, sumMap(e.hist) AS hist
@end

@define EDGE_GROUP
    cluster, t, role, protocol, is_tls, source_kind, source_namespace, source_name,
    destination_kind, destination_namespace, destination_name, destination_service, server_port, edge_id
@end

CREATE TABLE IF NOT EXISTS @table(endpoint_10s) (
    $EDGE,
    $ENDPOINT,
    edge_id UInt64 MATERIALIZED $EDGE_ID,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, method, template, status, t)
TTL t + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(endpoint_1m) (
    $EDGE,
    $ENDPOINT,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, method, template, status, t)
TTL t + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(endpoint_1h) (
    $EDGE,
    $ENDPOINT,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toYYYYMM(t)
ORDER BY ($EDGE_KEY, method, template, status, t)
TTL t + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(edge_10s) (
    $EDGE,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(edge_1m) (
    $EDGE,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toDate(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(edge_1h) (
    $EDGE,
    edge_id UInt64,
    $MEASURES
) ENGINE = @engine(AggregatingMergeTree, edge_id)
PARTITION BY toYYYYMM(t)
ORDER BY ($EDGE_KEY, t)
TTL t + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(edge_10s_mv) TO @table(edge_10s) AS
SELECT $EDGE_OF_E, e.t AS t, $MEASURES_OF_E FROM @table(endpoint_10s) AS e GROUP BY $EDGE_GROUP;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(edge_1m_mv) TO @table(edge_1m) AS
SELECT $EDGE_OF_E, toStartOfMinute(e.t) AS t, $MEASURES_OF_E FROM @table(edge_10s) AS e GROUP BY $EDGE_GROUP;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(edge_1h_mv) TO @table(edge_1h) AS
SELECT $EDGE_OF_E, toStartOfHour(e.t) AS t, $MEASURES_OF_E FROM @table(edge_1m) AS e GROUP BY $EDGE_GROUP;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(endpoint_1m_mv) TO @table(endpoint_1m) AS
SELECT $EDGE_OF_E, $ENDPOINT_OF_E, toStartOfMinute(e.t) AS t, $MEASURES_OF_E
FROM @table(endpoint_10s) AS e GROUP BY $EDGE_GROUP, method, template, status;

CREATE MATERIALIZED VIEW IF NOT EXISTS @view(endpoint_1h_mv) TO @table(endpoint_1h) AS
SELECT $EDGE_OF_E, $ENDPOINT_OF_E, toStartOfHour(e.t) AS t, $MEASURES_OF_E
FROM @table(endpoint_1m) AS e GROUP BY $EDGE_GROUP, method, template, status;

CREATE TABLE IF NOT EXISTS @table(requests) (
    cluster LowCardinality(String),
    time_ns UInt64 CODEC(Delta(8), ZSTD(1)),
    id UInt64,
    role LowCardinality(String),
    protocol LowCardinality(String),
    is_tls Bool,
    source_kind LowCardinality(String),
    source_namespace LowCardinality(String),
    source_name LowCardinality(String),
    source_pod LowCardinality(String),
    source_container LowCardinality(String),
    source_node LowCardinality(String),
    source_service LowCardinality(String),
    source_ip LowCardinality(String),
    destination_kind LowCardinality(String),
    destination_namespace LowCardinality(String),
    destination_name LowCardinality(String),
    destination_pod LowCardinality(String),
    destination_container LowCardinality(String),
    destination_node LowCardinality(String),
    destination_service LowCardinality(String),
    destination_ip LowCardinality(String),
    server_port UInt16,
    method LowCardinality(String),
    template String CODEC(ZSTD(1)),
    status LowCardinality(String),
    client_port UInt16 CODEC(ZSTD(1)),
    pid UInt32 CODEC(ZSTD(1)),
    command LowCardinality(String),
    is_error Bool,
    latency_ns UInt64 CODEC(T64, ZSTD(1)),
    request_bytes UInt64 CODEC(T64, ZSTD(1)),
    response_bytes UInt64 CODEC(T64, ZSTD(1)),
    weight UInt64 CODEC(T64, ZSTD(1)),
    edge_id UInt64 MATERIALIZED $EDGE_ID,
    INDEX ix_error is_error TYPE set(2) GRANULARITY 1
) ENGINE = @engine(MergeTree, edge_id)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(time_ns), 'UTC'))
ORDER BY (cluster, time_ns, id)
TTL toDateTime(intDiv(time_ns, 1000000000), 'UTC') + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;

CREATE TABLE IF NOT EXISTS @table(objects) (
    cluster LowCardinality(String),
    seen_ns UInt64,
    uid String,
    kind LowCardinality(String),
    namespace LowCardinality(String),
    name String,
    node LowCardinality(String),
    workload_kind LowCardinality(String),
    workload_name LowCardinality(String),
    phase LowCardinality(String),
    ips Array(String),
    replicas_desired UInt32,
    replicas_ready UInt32,
    created_ns UInt64,
    deleted_ns UInt64
) ENGINE = @engine(ReplacingMergeTree, uid, seen_ns)
ORDER BY (cluster, kind, namespace, name, uid)
TTL toDateTime(intDiv(seen_ns, 1000000000), 'UTC') + INTERVAL 7 DAY
SETTINGS @dedup;

CREATE TABLE IF NOT EXISTS @table(ledger) (
    cluster LowCardinality(String),
    agent LowCardinality(String),
    time_ns UInt64 CODEC(Delta(8), ZSTD(1)),
    node LowCardinality(String),
    version LowCardinality(String),
    started_ns UInt64,
    seen UInt64 CODEC(Delta(8), ZSTD(1)),
    exported UInt64 CODEC(Delta(8), ZSTD(1)),
    lost Map(LowCardinality(String), UInt64),
    lag_ns UInt64 CODEC(T64, ZSTD(1)),
    cpu_ns UInt64 CODEC(Delta(8), ZSTD(1)),
    rss_bytes UInt64 CODEC(T64, ZSTD(1))
) ENGINE = @engine(MergeTree, agent)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(time_ns), 'UTC'))
ORDER BY (cluster, agent, time_ns)
TTL toDateTime(intDiv(time_ns, 1000000000), 'UTC') + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, @dedup;
