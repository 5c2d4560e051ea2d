"""Writes deploy/kubernetes/osmia-agent.yaml: what the server hands out, with words to replace in place of values.

`make docs` runs it; `tests/deploy/test_manifest.py` fails if the file is not what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from osmia.server.api.install import manifest

FILE = Path(__file__).parent.parent / "deploy/kubernetes/osmia-agent.yaml"
_HEAD = """\
# Replace the three values, or take this file with them in place from the server:
#   curl -fsS http://osmia.example:8460/api/v1/clusters/MONITORING-ID/manifest.yaml | kubectl apply -f -
#
"""


def text() -> str:
    """The file's content."""
    return _HEAD + manifest(server_url="http://osmia.example:8460", monitoring_id="MONITORING-ID", key="KEY")


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write("deploy/kubernetes/osmia-agent.yaml\n")
