"""A document to a `Plan`: first every kind and key, then what keys mean together. All problems are told at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from osmia.load.config.cells import DelimitedText, read_cells
from osmia.load.config.cursor import Cursor, Found
from osmia.load.config.files import Files
from osmia.load.config.names import Scope
from osmia.load.config.nodes import Node
from osmia.load.config.report import Report
from osmia.load.config.rules import criterion_objection, dynamic_names
from osmia.load.config.schema import CONFIG
from osmia.load.config.shaping import read_shape
from osmia.load.config.stepping import Defaults, StepReader, captured_names
from osmia.load.message import parse_proxy
from osmia.load.plan import (
    Column,
    ColumnType,
    CookieSetting,
    Criterion,
    DataFile,
    JsonValue,
    Limits,
    Mode,
    Plan,
    RowOrder,
)
from osmia.load.templates import names_in
from osmia.model.errors import ConfigFileError, InputError, Problem

__all__ = ["Loaded", "read_plan"]


class Loaded(NamedTuple):
    """A plan, and what is odd about the file that it comes from."""

    plan: Plan
    warnings: tuple[Problem, ...]


def read_plan(
    document: Node, name: str, *, files: Files, environment: Mapping[str, str], supplied: Collection[str] = ()
) -> Loaded:
    """The plan that the document of the file `name` asks for; `supplied` variables get a value elsewhere.

    Raises:
        ConfigFileError: with everything that is wrong.
    """
    report = Report(name)
    if document.value is None:
        raise ConfigFileError([Problem(file=name, problem="there is nothing in it", remedy="a config has steps")])
    CONFIG.check(document, "", report)
    if "" in report.bad:
        raise ConfigFileError(report.all_errors())
    plan = _Reader(Cursor(document, CONFIG, "", report), files, environment, supplied=supplied).plan()
    if report.errors:
        raise ConfigFileError(report.all_errors(), warnings=report.all_warnings())
    return Loaded(plan, report.all_warnings())


class _Reader:
    def __init__(
        self, config: Cursor, files: Files, environment: Mapping[str, str], *, supplied: Collection[str]
    ) -> None:
        self._config = config
        self._supplied = supplied
        self._files = files
        self._outside = environment

    def plan(self) -> Plan:
        config = self._config
        cursors = config.tables("steps")
        captured = captured_names(cursors)
        scope = Scope(dynamic=dynamic_names(), environment=self._outside, captured=captured)
        environment = self._environment(scope)
        data = self._data()
        scope.add(f"data.{file.name}.{column.tag}" for file in data for column in file.columns)
        defaults = Defaults(config.flag("verify"), config.flag("http2"), config.flag("http3"))
        mode = Mode(config.choice("engine_mode"))
        steps = StepReader(self._files, scope, defaults).steps(cursors)
        return Plan(
            steps=steps,
            shape=read_shape(config),
            mode=mode,
            proxy=self._proxy(),
            environment=environment,
            data=data,
            cookies=self._cookies(),
            has_cookies=self._has_cookies(mode),
            criteria=self._criteria([step.id for step in steps]),
            output=config.choice("output"),
            is_debug=config.flag("debug"),
            sampling_rate=config.whole("sampling_rate"),
            seed=config.optional_whole("seed"),
            limits=self._limits(),
        )

    def _limits(self) -> Limits:
        config = self._config
        return Limits(
            max_connections=config.whole("max_connections"),
            workers=config.whole("workers"),
            forbids_other_hosts=config.flag("forbid_other_hosts"),
        )

    def _proxy(self) -> str:
        text = self._config.text("proxy")
        if text:
            try:
                parse_proxy(text)
            except InputError as error:
                self._config.error("proxy", error.message, remedy=error.remedy)
        return text

    def _environment(self, scope: Scope) -> dict[str, JsonValue]:
        """Values may hold random values, variables of the environment, and what stands above them."""
        entries = list(self._config.names("env"))
        scope.add(self._supplied)
        scope.add(name for name, found in entries if not _is_template(found))
        scope.add_scalars(name for name, found in entries if not isinstance(found.node.value, tuple))
        for name, found in entries:
            if _is_template(found):
                scope.check(found, self._config.report)
                scope.add([name])
        return {name: found.node.plain() for name, found in entries}

    # ---- CSV files ----

    def _data(self) -> tuple[DataFile, ...]:
        return tuple(self._data_file(name, cursor) for name, cursor in self._config.named_tables("data"))

    def _data_file(self, name: str, cursor: Cursor) -> DataFile:
        columns = tuple(
            Column(int(index), column.text("tag"), ColumnType(column.choice("type")))
            for index, column in cursor.named_tables("vars")
        )
        self._refuse_twins(cursor, columns)
        rows: tuple[tuple[JsonValue, ...], ...] = ()
        if cursor.text("path"):
            form = DelimitedText(
                delimiter=cursor.text("delimiter"),
                skips_first_line=cursor.flag("skip_first_line"),
                skips_empty_lines=cursor.flag("skip_empty_line"),
                allows_stray_quotes=cursor.flag("allow_quota"),
            )
            try:
                rows = read_cells(self._files.content(cursor.text("path")), form, columns)
            except InputError as error:
                cursor.error("path", error.message, remedy=error.remedy)
        return DataFile(name, columns, rows, RowOrder(cursor.choice("order")))

    def _refuse_twins(self, cursor: Cursor, columns: tuple[Column, ...]) -> None:
        tags = [column.tag for column in columns]
        for tag in sorted({tag for tag in tags if tag and tags.count(tag) > 1}):
            cursor.error("vars", f"two columns have the tag {tag}", remedy="each needs its own")
        if not columns:
            cursor.error("vars", "no column is named", remedy='for instance {"0": {"tag": "user"}}')

    # ---- cookies and criteria ----

    def _has_cookies(self, mode: Mode) -> bool:
        jar = self._config.table("cookie_jar")
        is_enabled = jar.flag("enabled")
        if is_enabled and mode is Mode.DDOSIFY:
            remedy = f'set engine_mode to "{Mode.DISTINCT_USER}" or "{Mode.REPEATED_USER}"'
            jar.error("enabled", f"cookies belong to users, and engine_mode {Mode.DDOSIFY} has none", remedy=remedy)
        if not is_enabled and jar.items("cookies"):
            jar.warn("cookies", "not used, because enabled is not true")
        return is_enabled

    def _cookies(self) -> tuple[CookieSetting, ...]:
        jar = self._config.table("cookie_jar")
        return tuple(self._cookie(cookie) for cookie in jar.tables("cookies")) if jar.flag("enabled") else ()

    def _cookie(self, cookie: Cursor) -> CookieSetting:
        if not cookie.has("raw") and not cookie.text("name"):
            cookie.error("name", "name is missing", remedy="a cookie has a name and a value, or raw")
        expires = cookie.text("expires")
        if expires:
            try:
                parsedate_to_datetime(expires)
            except ValueError:
                cookie.error("expires", "is no date", remedy="for instance Thu, 16 Mar 2027 09:24:02 GMT")
        return CookieSetting(
            name=cookie.text("name"),
            value=cookie.text("value"),
            domain=cookie.text("domain"),
            path=cookie.text("path"),
            expires=expires,
            max_age=cookie.whole("max_age"),
            is_http_only=cookie.flag("http_only"),
            is_secure=cookie.flag("secure"),
            raw=cookie.text("raw"),
        )

    def _criteria(self, step_ids: list[int]) -> tuple[Criterion, ...]:
        found = []
        for cursor in self._config.tables("success_criterias"):
            rule = cursor.text("rule")
            objection = criterion_objection(rule, step_ids) if cursor.found("rule") else None
            if objection:
                cursor.error("rule", objection.problem, remedy=objection.remedy)
            found.append(Criterion(rule, cursor.flag("abort"), cursor.number("delay")))
        return tuple(found)


def _is_template(found: Found) -> bool:
    return isinstance(found.node.value, str) and bool(names_in(found.node.value))
