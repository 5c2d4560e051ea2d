"""Who may send telemetry."""
