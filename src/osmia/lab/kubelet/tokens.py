"""Service account tokens in pods: which files hold one, and their replacement before they end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from osmia.lab.apiserver import ApiError, ApiServer
from osmia.model.errors import LabError
from osmia.telemetry import get_logger

__all__ = ["ACCOUNT_DIRECTORY", "TokenFile", "has_account", "keep_tokens", "token_files", "write_token"]

Object = dict[str, Any]

ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a container finds its account."""

_REPLACED_AFTER = 0.8
_DEFAULT_LIFE_S = 3600

log = get_logger("lab.kubelet")


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that holds a token, and for how long one is good."""

    path: Path
    life_s: float


def has_account(pod: Object) -> bool:
    """Whether its containers get the account's files without asking for them."""
    return bool(pod["spec"].get("automountServiceAccountToken", True))


def token_files(pod: Object, home: Path, life_s: float) -> Iterator[TokenFile]:
    """The files of a pod whose directory is `home`: the account's own, and those of projected volumes."""
    if has_account(pod):
        yield TokenFile(home / "account" / "token", life_s)
    for volume in pod["spec"].get("volumes", []):
        for source in (volume.get("projected") or {}).get("sources") or []:
            if asked := source.get("serviceAccountToken"):
                path = home / "volumes" / volume["name"] / asked.get("path", "token")
                yield TokenFile(path, float(asked.get("expirationSeconds", _DEFAULT_LIFE_S)))


def write_token(api: ApiServer, pod: Object, file: TokenFile) -> None:
    """Write a new token so that readers see the old or the new one.

    Raises:
        LabError: the pod's account is not there.
    """
    namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or "default"
    try:
        token = api.accounts.issue(namespace, account, life_s=file.life_s, pod=pod)
    except ApiError as exc:
        raise LabError(exc.message) from exc
    file.path.parent.mkdir(parents=True, exist_ok=True)
    draft = file.path.with_name(f"..{file.path.name}")
    draft.write_text(token)
    draft.replace(file.path)


async def keep_tokens(api: ApiServer, pod: Object, home: Path, life_s: float) -> None:
    """Replace the tokens of a pod when four fifths of their time are over, until cancelled."""
    files = list(token_files(pod, home, life_s))
    if not files:
        return
    pause_s = _REPLACED_AFTER * min(file.life_s for file in files)
    while True:
        await anyio.sleep(pause_s)
        for file in files:
            try:
                write_token(api, pod, file)
            except (LabError, OSError) as exc:
                log.warning("token not replaced", pod=pod["metadata"]["name"], problem=str(exc))
