"""The lab's settings."""

from __future__ import annotations

import re

import msgspec

from osmia.model.errors import ConfigError
from osmia.settings import setting

__all__ = ["LabConfig", "check_name"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


class LabConfig(msgspec.Struct, frozen=True):
    """Settings of one lab."""

    name: str = setting("main", "Name of this lab; several may run side by side.")
    state_root: str = setting("/run/osmia-lab", "Directory that holds one directory per lab.")
    pod_cidr: str = setting("auto", "Addresses of pods; auto takes the first free of 10.244.0.0/22, 10.244.4.0/22, ...")
    service_cidr: str = setting("auto", "Addresses of Services; auto takes the first free of 10.96.0.0/16, ...")
    uplink_cidr: str = setting("auto", "Four addresses between this machine and the node; auto: 10.243.0.0/30, ...")
    dual_stack: bool = setting(False, "Give pods, and Services that ask for it, IPv6 addresses too.")  # noqa: FBT003
    api_port: int = setting(6443, "Port of the API server on the uplink's host address.")
    token_life_s: float = setting(
        3600.0, "How long the service account token of a pod is good, in seconds; replaced after four fifths of it."
    )
    ready_timeout_s: float = setting(90.0, "How long `up` waits for the workloads to be ready, in seconds.")


def check_name(name: str) -> str:
    """The name, if a lab can have it.

    Raises:
        ConfigError: it is no short DNS label.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError("name", name, "not a lab's name", remedy="1 to 20 of a-z, 0-9 and -, no - at the ends")
    return name
