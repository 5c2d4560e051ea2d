"""Single requests: filtered, newest first, page by page."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from osmia.model.errors import InputError
from osmia.model.request import fingerprint
from osmia.server.query.answers import RequestEnd, RequestPage, RequestRecord
from osmia.server.query.rows import entity_id, integer, text
from osmia.server.query.scope import Scope
from osmia.server.storage.store import Row

__all__ = ["MAX_LIMIT", "BadFilterError", "RequestFilter", "find_requests"]

MAX_LIMIT = 1_000
"""Most requests on one page."""

_CURSOR = re.compile(r"([0-9]{1,20})\.([0-9]{1,20})")

_COLUMNS = """time_ns, id, role, protocol, is_tls, source_kind, source_namespace, source_name, source_pod, source_ip,
    source_service, destination_kind, destination_namespace, destination_name, destination_pod, destination_ip,
    destination_service, server_port, client_port, method, template, status, is_error, latency_ns, transfer_ns,
    request_bytes,
    response_bytes, command, pid, weight, target"""

_FINGERPRINT = "substring(lower(hex(SHA256(template))), 1, 12)"
"""`osmia.model.request.fingerprint` in SQL."""

_ID = "concat({0}_kind, '/', {0}_namespace, '/', {0}_name)"


class BadFilterError(InputError):
    """A filter that cannot be used; `field` and `value` say which."""

    def __init__(self, field: str, value: str, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{field} = {value!r}: {problem}", remedy=remedy)
        self.field = field
        self.value = value
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """Which requests; empty means any.

    `resource` is at either end, `text` stands in the template, any case, `fingerprint` is the template's.
    """

    source: str = ""
    target: str = ""
    resource: str = ""
    protocol: str = ""
    status: str = ""
    method: str = ""
    text: str = ""
    fingerprint: str = ""
    min_latency_ns: int = 0
    errors_only: bool = False

    def conditions(self) -> list[tuple[str, dict[str, object]]]:
        """SQL conditions with the values they bind."""
        source, target = _ID.format("source"), _ID.format("destination")
        exact = {
            f"{source} = {{source:String}}": ("source", self.source),
            f"{target} = {{target:String}}": ("target", self.target),
            f"({source} = {{resource:String}} OR {target} = {{resource:String}})": ("resource", self.resource),
            "protocol = {protocol:String}": ("protocol", self.protocol),
            "status = {status:String}": ("status", self.status),
            "method = {method:String}": ("method", self.method),
            "positionCaseInsensitiveUTF8(template, {text:String}) > 0": ("text", self.text),
            f"{_FINGERPRINT} = {{fingerprint:String}}": ("fingerprint", self.fingerprint),
        }
        found: list[tuple[str, dict[str, object]]] = [
            (condition, {name: value}) for condition, (name, value) in exact.items() if value
        ]
        if self.min_latency_ns:
            found.append(("latency_ns >= {min_latency_ns:UInt64}", {"min_latency_ns": self.min_latency_ns}))
        if self.errors_only:
            found.append(("is_error", {}))
        return found


async def find_requests(scope: Scope, wanted: RequestFilter, *, limit: int, cursor: str = "") -> RequestPage:
    """One page of requests, each from the side chosen for its edge over the range.

    Raises:
        BadFilterError: the cursor is not one that a page gave out.
    """
    parameters: dict[str, object] = {"limit": limit + 1}
    conditions = [f"(edge_id, role) IN ({scope.choice()})"]
    if cursor:
        time_ns, row_id = _parse_cursor(cursor)
        parameters |= {"cursor_ns": time_ns, "cursor_id": row_id}
        conditions.append("time_ns <= {cursor_ns:UInt64}")
        conditions.append("(time_ns, id) < ({cursor_ns:UInt64}, {cursor_id:UInt64})")
    for condition, values in wanted.conditions():
        conditions.append(condition)
        parameters |= values
    sql = (
        f"SELECT {_COLUMNS} FROM {scope.requests} WHERE {' AND '.join(conditions)} "  # noqa: S608 - values are bound
        "ORDER BY time_ns DESC, id DESC LIMIT {limit:UInt32}"
    )
    rows = await scope.read(sql, parameters)
    page = rows[:limit]
    following = f"{page[-1]['time_ns']}.{page[-1]['id']}" if len(rows) > limit else ""
    return RequestPage(
        items=[_record(row) for row in page],
        next_cursor=base64.urlsafe_b64encode(following.encode()).decode() if following else None,
    )


def _parse_cursor(cursor: str) -> tuple[int, int]:
    try:
        plain = base64.urlsafe_b64decode(cursor.encode()).decode("ascii")
    except ValueError:
        plain = ""
    match = _CURSOR.fullmatch(plain)
    if match is None or max(int(match[1]), int(match[2])) >= 1 << 64:
        raise BadFilterError("cursor", cursor[:80], "not a cursor", remedy="use next_cursor of the page before")
    return int(match[1]), int(match[2])


def _record(row: Row) -> RequestRecord:
    return RequestRecord(
        time_ms=integer(row, "time_ns") / 1e6,
        role="server" if row["role"] == "server" else "client",
        protocol=text(row, "protocol"),
        is_tls=bool(row["is_tls"]),
        source=_end(row, "source"),
        target=_end(row, "destination"),
        server_port=integer(row, "server_port"),
        client_port=integer(row, "client_port"),
        method=text(row, "method"),
        template=text(row, "template"),
        fingerprint=fingerprint(text(row, "template")),
        raw=text(row, "target"),
        status=text(row, "status"),
        is_error=bool(row["is_error"]),
        latency_ns=integer(row, "latency_ns"),
        transfer_ns=integer(row, "transfer_ns"),
        request_bytes=integer(row, "request_bytes"),
        response_bytes=integer(row, "response_bytes"),
        command=text(row, "command"),
        pid=integer(row, "pid"),
        weight=integer(row, "weight"),
    )


def _end(row: Row, end: str) -> RequestEnd:
    return RequestEnd(
        id=entity_id(row, end),
        kind=text(row, f"{end}_kind"),
        namespace=text(row, f"{end}_namespace"),
        name=text(row, f"{end}_name"),
        pod=text(row, f"{end}_pod"),
        ip=text(row, f"{end}_ip"),
        service=text(row, f"{end}_service"),
    )
