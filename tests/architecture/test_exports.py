"""Every module says what it offers, and offers just that."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
GENERATED = {"migrations", "versions"}
MODULES = [path for path in sorted(SOURCES.rglob("*.py")) if not GENERATED & set(path.parts)]


def exported(tree: ast.Module) -> list[str] | None:
    """The literal `__all__`, None without one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def defined(tree: ast.Module) -> set[str]:
    """Public classes and functions that the module makes for others; what a decorator registers is reached by that."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    found = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    return {node.name for node in found if not any(map(_registers, node.decorator_list))}


def _registers(decorator: ast.expr) -> bool:
    """Whether a decorator puts the function into something of this module: `@router.get(...)`, `@group.command()`."""
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return isinstance(decorator, ast.Attribute) and decorator.attr in {"command", "get", "post", "patch", "delete"}


def bound(tree: ast.Module) -> set[str]:
    """Every name that the module binds at its top level."""
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_all_is_exact(path: Path) -> None:
    """`__all__` names every public class and function of the module, and nothing that is not there."""
    tree = ast.parse(path.read_text())
    names = exported(tree)

    assert (names is not None) or not defined(tree), "has public names and no __all__"
    assert defined(tree) <= set(names or []), "public names missing from __all__"
    assert set(names or []) <= bound(tree), "__all__ names what is not there"
