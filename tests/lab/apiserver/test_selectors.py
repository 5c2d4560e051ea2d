"""Label and field selectors."""

from __future__ import annotations

import pytest

from osmia.lab.apiserver import RESOURCES, ApiError
from osmia.lab.apiserver.selectors import match_labels, parse_fields, parse_labels

_LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db),tier=front", True),
        ("missing notin (x)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("app=web,tier in (back,front),!missing", True),
        ("tier=", False),
    ],
)
def test_label_selector(selector: str, *, selects: bool) -> None:
    """Every operator of label selectors, alone and combined."""
    assert parse_labels(selector)({"metadata": {"labels": _LABELS}}) is selects


@pytest.mark.parametrize("selector", ["a in b", "=x", "a=b=c", "a in (b", ",,"])
def test_broken_label_selector_is_refused(selector: str) -> None:
    """What is no label selector is 400."""
    with pytest.raises(ApiError) as refused:
        parse_labels(selector)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ("metadata.name=a", True),
        ("spec.nodeName=n1", True),
        ("spec.nodeName!=n1", False),
        ("spec.nodeName=n1,status.phase!=Failed", True),
        ("spec.hostNetwork=false", True),
        ("status.podIP=", True),
    ],
)
def test_field_selector(selector: str, *, selects: bool) -> None:
    """Fields are compared as text; absent ones are empty (booleans false)."""
    obj = {"metadata": {"name": "a"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}

    assert parse_fields(selector, RESOURCES["pods"])(obj) is selects


def test_unknown_field_is_refused() -> None:
    """A field that the resource cannot be selected by is 400."""
    with pytest.raises(ApiError, match="field label not supported"):
        parse_fields("spec.color=red", RESOURCES["pods"])


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selector_object(selector: dict[str, object] | None, *, selects: bool) -> None:
    """A LabelSelector object of a workload; none selects nothing, an empty one everything."""
    assert match_labels(selector, _LABELS) is selects
