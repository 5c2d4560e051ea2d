"""Other tools' files to configs: Postman collections, HAR, OpenAPI, curl commands."""

from osmia.load.convert.converting import ConvertOptions, Kind, convert
from osmia.load.convert.draft import Conversion
from osmia.load.convert.har import HarOptions

__all__ = ["Conversion", "ConvertOptions", "HarOptions", "Kind", "convert"]
