"""Build hook: compiles the BPF objects, the libbpf binding and the web UI into the package."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling ships no parameter
    """Runs before the wheel (or the editable install) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Nothing to compile yet."""
