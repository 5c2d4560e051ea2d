"""Which text may leave this node: few templates per service, and raw text only where both ends' namespaces allow it.

The parsers take the values out of a request's text. What is left still has no bound: user names in paths, tables per
tenant, a scanner's guesses. So each service (workload and protocol) may have `templates_max` templates; those beyond
are merged by position. The templates of a service form a tree of their segments (words, in SQL):

    /u ─┬─ /anna        a new one finds no room: the widest branching on its way is taken for one whose next segment
        ├─ /bob         varies. What was seen there only now and then gives way, and from now on every further
        └─ … (30 more)  segment there is `{name}`: /u/{name}. What is used often (/u/settings) keeps its own name.

A template that fits nowhere is `OTHER`. What was not used for an hour makes room. Counts stay exact whatever is merged;
how often it happened is in `statistics()`. Pure: the time is passed in, and the same requests give the same templates.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from osmia.model.entity import Entity
from osmia.model.request import UNCAPTURED, Protocol
from osmia.protocols.parser import UNRECOGNISED

__all__ = ["OTHER", "VARYING", "Redaction", "RedactionStatistics"]

OTHER = "(other)"
"""Template of requests beyond the bound that no other template could take."""

VARYING = "{name}"
"""Stands for a segment that was found to vary."""

_WINDOW_NS = 3_600_000_000_000  # a template unused for so long makes room
_SWEEP_NS = 60_000_000_000
_SERVICES_MAX = 2_048
_TEMPLATES_MAX = 20_000
_RESERVE = 5  # one place in five is kept for merged templates
_WIDE = 8  # children from which a branching may be one that varies
_OFTEN = 5  # drains in which a segment was seen until it keeps its name
_DEPTH = 32  # segments told apart; the rest counts as one
_QUERY = "?"
_SEPARATORS = {Protocol.HTTP: "/", Protocol.POSTGRES: " "}
_FIXED = frozenset({UNCAPTURED, UNRECOGNISED, OTHER, ""})


@dataclass(frozen=True, slots=True)
class RedactionStatistics:
    """Sizes now (`services`, `templates`) and counters since start.

    `merged` and `other` are questions answered with a merged template and with `OTHER`, `forgotten` templates that
    made room.
    """

    services: int = 0
    templates: int = 0
    merged: int = 0
    other: int = 0
    forgotten: int = 0


@dataclass(slots=True)
class _Branch:
    """One segment of a service's templates; `template` is the one that ends here, if any."""

    children: dict[str, _Branch] = field(default_factory=dict)
    template: str = ""
    is_varying: bool = False
    seen: int = 0
    last_ns: int = 0


class Redaction:
    """The policy of one agent: a template for every request, its text for very few."""

    def __init__(self, *, raw_namespaces: Iterable[str] = (), templates_max: int = 200) -> None:
        """`raw_namespaces`: between these, texts travel as they are. `templates_max`: per workload and protocol."""
        self._raw_namespaces = frozenset(raw_namespaces)
        self._templates_max = templates_max
        self._services: OrderedDict[tuple[str, Protocol], _Service] = OrderedDict()
        self._templates = 0
        self._merged = 0
        self._other = 0
        self._forgotten = 0

    def template(self, template: str, *, protocol: Protocol, service: str, at_ns: int) -> str:
        """The template to report for one that a parser gave, asked once per service and drain.

        `service` is the id of the workload that answers. Not to be remembered: the next answer may be another.
        """
        if template in _FIXED:
            return template
        key = (service, protocol)
        one = self._services.get(key)
        if one is None:
            one = self._services[key] = _Service(_SEPARATORS[protocol], self._templates_max)
        self._services.move_to_end(key)
        before = one.count
        forgotten = one.forgotten
        answer = one.template(template, at_ns)
        if answer != template:
            self._merged += answer != OTHER
            self._other += answer == OTHER
        if one.count != before:
            self._templates += one.count - before
            self._shrink()
        self._forgotten += one.forgotten - forgotten
        return answer

    def target(self, target: str, source: Entity, destination: Entity) -> str:
        """The raw text where the namespaces of both ends allow it, else nothing.

        Both, because a request holds what either end trusts the other with.
        """
        if not self._raw_namespaces:
            return ""
        is_allowed = source.namespace in self._raw_namespaces and destination.namespace in self._raw_namespaces
        return target if is_allowed else ""

    def statistics(self) -> RedactionStatistics:
        """Sizes and counters up to now."""
        return RedactionStatistics(len(self._services), self._templates, self._merged, self._other, self._forgotten)

    def _shrink(self) -> None:
        """The service asked for longest ago gives way, templates and all that was learned."""
        while len(self._services) > _SERVICES_MAX or (self._templates > _TEMPLATES_MAX and len(self._services) > 1):
            _, gone = self._services.popitem(last=False)
            self._templates -= gone.count
            self._forgotten += gone.count


class _Service:
    """The templates of one service, as a tree of their segments."""

    __slots__ = ("_known", "_maximum", "_root", "_separator", "_swept_ns", "count", "forgotten")

    def __init__(self, separator: str, maximum: int) -> None:
        self._separator = separator
        self._maximum = maximum
        self._root = _Branch()
        self._known: dict[str, list[_Branch]] = {}  # a template's way through the tree, without the root
        self._swept_ns = 0
        self.count = 0
        self.forgotten = 0

    def template(self, template: str, at_ns: int) -> str:
        """The template itself, what it is merged into, or `OTHER`."""
        way = self._known.get(template)
        if way is not None:
            for branch in way:
                branch.seen += 1
                branch.last_ns = at_ns
            return template
        segments = self._split(template)
        while True:
            names = self._names(segments)
            merged = self._join(names)
            known = self._known.get(merged)
            if known is not None:
                known[-1].last_ns = at_ns
                return merged
            if self.count < self._room(is_merged=merged != template):
                self._add(merged, names, at_ns)
                return merged
            if not self._sweep(at_ns) and not self._learn(segments):
                return OTHER

    def _room(self, *, is_merged: bool) -> int:
        return self._maximum if is_merged else self._maximum - self._maximum // _RESERVE

    def _split(self, template: str) -> list[str]:
        """The segments; of a query the names as one, behind a mark."""
        if self._separator != "/":
            return template.split(self._separator, _DEPTH)
        path, mark, query = template.partition(_QUERY)
        segments = path.split(self._separator, _DEPTH)
        return [*segments, mark, query] if mark else segments

    def _join(self, names: list[str]) -> str:
        if self._separator == "/" and len(names) > 1 and names[-2] == _QUERY:
            return self._separator.join(names[:-2]) + _QUERY + names[-1]
        return self._separator.join(names)

    def _names(self, segments: list[str]) -> list[str]:
        """The segments with `VARYING` for those that were found to vary and have no name of their own."""
        names: list[str] = []
        branch: _Branch | None = self._root
        for segment in segments:
            name = segment
            if branch is not None and branch.is_varying and segment not in branch.children and segment != _QUERY:
                name = VARYING
            names.append(name)
            branch = branch.children.get(name) if branch is not None else None
        return names

    def _add(self, template: str, names: list[str], at_ns: int) -> None:
        way: list[_Branch] = []
        branch = self._root
        for name in names:
            branch = branch.children.setdefault(name, _Branch())
            branch.seen += 1
            branch.last_ns = at_ns
            way.append(branch)
        branch.template = template
        self._known[template] = way
        self.count += 1

    def _learn(self, segments: list[str]) -> bool:
        """Take the widest branching on the way of a new template for one that varies; False if there is none."""
        widest, width = None, _WIDE - 1
        branch: _Branch | None = self._root
        for name in self._names(segments):
            if branch is None:
                break
            if not branch.is_varying and len(branch.children) > width:
                widest, width = branch, len(branch.children)
            branch = branch.children.get(name)
        if widest is None:
            return False
        widest.is_varying = True
        for name in [name for name, child in widest.children.items() if child.seen < _OFTEN and name != _QUERY]:
            self._forget(widest.children.pop(name))
        return True

    def _sweep(self, at_ns: int) -> bool:
        """Forget what was not used for a window, now and then; whether anything was."""
        if at_ns - self._swept_ns < _SWEEP_NS:
            return False
        self._swept_ns = at_ns
        before = self.count
        self._prune(self._root, at_ns - _WINDOW_NS)
        return self.count < before

    def _prune(self, branch: _Branch, before_ns: int) -> None:
        """Drop every way that ends in nothing that is used; depth is bounded by `_DEPTH`."""
        for name, child in list(branch.children.items()):
            self._prune(child, before_ns)
            if child.template and child.last_ns < before_ns:
                self._drop_template(child)
            if not child.children and not child.template:
                del branch.children[name]

    def _forget(self, branch: _Branch) -> None:
        """Drop the templates of a branch that has been cut off."""
        if branch.template:
            self._drop_template(branch)
        for child in branch.children.values():
            self._forget(child)

    def _drop_template(self, branch: _Branch) -> None:
        del self._known[branch.template]
        branch.template = ""
        self.count -= 1
        self.forgotten += 1
