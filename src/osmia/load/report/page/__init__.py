"""The HTML report's parts: markup that escapes, scales, charts, style and script."""
