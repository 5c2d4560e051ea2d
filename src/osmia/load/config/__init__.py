"""Config files, JSON or YAML, to a `Plan`; the published JSON Schema and the reference page."""
