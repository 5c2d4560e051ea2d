"""Rules as text and as trees: what binds how, what is refused and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.language.lexer import MAX_RULE_CHARACTERS
from osmia.load.language.parser import MAX_DEPTH, parse
from osmia.load.language.problems import RuleError
from osmia.load.language.tree import ArrayOf, Binary, Call, Chain, Literal, Name, Node, ObjectOf, Unary, show

WORDS = ("true", "false", "null")
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(lambda one: one not in WORDS)
literals = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
).map(Literal)


def _extended(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    items = st.lists(inner, max_size=3).map(tuple)
    chained = st.lists(inner, min_size=2, max_size=3).map(tuple)
    signs = st.sampled_from(["==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"])
    pairs = st.lists(st.tuples(st.text(max_size=4), inner), max_size=2).map(tuple)
    return st.one_of(
        st.builds(ArrayOf, items),
        st.builds(ObjectOf, pairs),
        st.builds(Unary, st.just("!"), inner),
        st.builds(Unary, st.just("-"), inner),
        st.builds(Binary, signs, inner, inner),
        st.builds(Chain, st.sampled_from(["&&", "||"]), chained),
        st.builds(Call, names, items),
    )


trees = st.recursive(st.one_of(literals, names.map(Name)), _extended, max_leaves=12)


@given(trees)
def test_a_printed_tree_is_read_as_the_same_tree(tree: Node) -> None:
    """Nothing is lost by printing: quotes, escapes, parentheses, signs."""
    assert parse(show(tree)) == tree


@pytest.mark.parametrize(
    ("rule", "printed"),
    [
        ("true || false && false", "true || (false && false)"),
        ("a == b && c", "(a == b) && c"),
        ("a < b == c < d", "(a < b) == (c < d)"),
        ("1 + 2 * 3 % 4", "1 + ((2 * 3) % 4)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("!a && b", "(!a) && b"),
        ("-f(x) * 2", "(-f(x)) * 2"),
        ("a || b || c && d", "a || b || (c && d)"),
        ("(a || b) && c", "(a || b) && c"),
        ("a <= b != (c >= d)", "(a <= b) != (c >= d)"),
    ],
)
def test_operators_bind_as_everywhere(rule: str, printed: str) -> None:
    """`&&` tighter than `||`, comparisons tighter than both, products tighter than sums."""
    assert parse(rule) == parse(printed)


def test_both_quotes_are_strings_and_unknown_escapes_stay() -> None:
    """Expressions and paths can be written as they are."""
    assert parse('"a"') == parse("'a'") == Literal("a")
    assert parse(r"'\d+\.\w'") == Literal(r"\d+\.\w")
    assert parse(r'"a\"b\\c\n\u00e9"') == Literal('a"b\\c\né')


@pytest.mark.parametrize(
    ("rule", "column", "problem"),
    [
        ('status_code == "200', 16, "the string that begins here has no end"),
        ("status_code == 'a\\'", 16, "the string that begins here has no end"),
        ("status_code == 200 200", 20, "expected the end of the rule or an operator"),
        ("true)", 5, "unexpected ')'"),
        ("status_code ==", 15, "unexpected end of the rule, expected a value"),
        ("", 1, "unexpected end of the rule, expected a value"),
        ("f(1, ", 6, "expected a value"),
        ("f(1 2)", 5, "expected ',' or ')'"),
        ("[1, 2", 6, "expected ',' or ']'"),
        ("{a: 1}", 2, "expected a key in quotes"),
        ('{"a" 1}', 6, "expected ':'"),
        ("a & b", 3, "'&' means nothing here"),
        ("a = b", 3, "'=' means nothing here"),
        ("§", 1, "means nothing here"),
        ("1e999 > 2", 1, "too large"),
        ("(" * 100 + "1" + ")" * 100, MAX_DEPTH + 2, "nested more than"),
        ("[" * 100, MAX_DEPTH + 2, "nested more than"),
        ("!" * 100 + "true", MAX_DEPTH + 1, "nested more than"),
        ("1" + "+1" * 100, 2 * MAX_DEPTH + 2, "nested more than"),
    ],
)
def test_what_is_not_understood_is_refused_at_its_place(rule: str, column: int, problem: str) -> None:
    """The column, what was expected, and a caret below the place."""
    with pytest.raises(RuleError) as caught:
        parse(rule)

    assert caught.value.column == column
    assert problem in caught.value.problem
    shown, caret = str(caught.value).splitlines()[-2:]
    assert caret.strip() == "^"
    assert column > len(rule) or shown[len(caret) - 1] == rule[column - 1]


def test_a_long_row_of_conditions_is_not_nested() -> None:
    """A thousand conditions are one level; so is what prints them."""
    tree = parse(" && ".join(["true"] * 1000))

    assert isinstance(tree, Chain)
    assert len(tree.items) == 1000


def test_a_rule_has_a_greatest_length() -> None:
    """Whoever writes more has made a mistake."""
    with pytest.raises(RuleError, match="too long"):
        parse(" " * MAX_RULE_CHARACTERS + "1")
