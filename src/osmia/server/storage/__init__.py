"""The only code that knows the database: telemetry in ClickHouse (embedded or remote), metadata in SQL."""
