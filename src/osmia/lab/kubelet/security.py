"""What a manifest lets a container do and use: securityContext and resources, as values the runtime understands; pure.

A container without `capabilities` keeps all of them: the lab's programs are those of this machine, which expect that.
One that has them starts, as everywhere, from the runtime's usual fourteen.
"""

from __future__ import annotations

import re
from typing import Any

from osmia.lab.runtime.cgroup import Limits
from osmia.lab.runtime.script import Security
from osmia.model.errors import LabError

__all__ = ["limits_of", "security_of", "user_of"]

Object = dict[str, Any]

_USUAL = (
    *("audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service", "net_raw"),
    *("setfcap", "setgid", "setpcap", "setuid", "sys_chroot"),
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kKMGT]i?)?")
_UNITS = {"m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": float(1 << 10 * power) for power, letter in enumerate("KMGT", 1)
}


def security_of(container: Object) -> Security:
    """The container's securityContext, as far as the lab has it."""
    context: Object = container.get("securityContext") or {}
    return Security(
        capabilities=_capabilities(context),
        can_gain_privileges=context.get("allowPrivilegeEscalation", True),
        has_read_only_root=bool(context.get("readOnlyRootFilesystem")),
    )


def user_of(pod: Object, container: Object, own: str) -> str:
    """Who runs it: the securityContext's runAsUser, the container's before the pod's, else the image's own user."""
    for context in (container.get("securityContext"), pod["spec"].get("securityContext")):
        if context and "runAsUser" in context:
            return str(context["runAsUser"])
    return own


def limits_of(container: Object) -> Limits:
    """The container's limits.

    Raises:
        LabError: a quantity is none.
    """
    limits = (container.get("resources") or {}).get("limits") or {}
    return Limits(
        cpu_cores=_quantity("cpu", limits["cpu"]) if "cpu" in limits else None,
        memory_bytes=int(_quantity("memory", limits["memory"])) if "memory" in limits else None,
    )


def _capabilities(context: Object) -> tuple[str, ...] | None:
    asked = context.get("capabilities")
    if context.get("privileged") or asked is None:
        return None
    dropped, added = ({_name(one) for one in asked.get(key) or ()} for key in ("drop", "add"))
    if "all" in added:
        return None
    kept = set() if "all" in dropped else set(_USUAL) - dropped
    return tuple(sorted(kept | added))


def _name(capability: str) -> str:
    return capability.lower().removeprefix("cap_")


def _quantity(field: str, value: object) -> float:
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise LabError(f"resources.limits.{field} {value!r} is no quantity", remedy="give 500m, 2, 64Mi or 1Gi")
    return float(match[1]) * _UNITS.get(match[2] or "", 1.0)
