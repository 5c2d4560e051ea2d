"""Config files, JSON or YAML, to a `Plan`; the published JSON Schema and the reference page.

`load(path)` gives a plan with warnings, or raises a `ConfigFileError` with everything that is wrong.
"""

from osmia.load.config.describing import describe
from osmia.load.config.files import Fetch, fetch_url
from osmia.load.config.loading import load, load_text
from osmia.load.config.publishing import reference_page, schema_text
from osmia.load.config.reading import Loaded
from osmia.load.config.writing import to_json, to_yaml

__all__ = [
    "Fetch",
    "Loaded",
    "describe",
    "fetch_url",
    "load",
    "load_text",
    "reference_page",
    "schema_text",
    "to_json",
    "to_yaml",
]
