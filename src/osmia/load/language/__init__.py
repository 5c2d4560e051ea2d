"""The language of rules: text -> tokens -> tree -> one Python function; and what it speaks about, an `Answer`."""

from osmia.load.language.answer import Answer, Needs
from osmia.load.language.cookie import Cookie, CookieSource, parse_date, parse_set_cookie
from osmia.load.language.problems import EvaluationError, RuleError, nearest
from osmia.load.language.rule import Rule

__all__ = [
    "Answer",
    "Cookie",
    "CookieSource",
    "EvaluationError",
    "Needs",
    "Rule",
    "RuleError",
    "nearest",
    "parse_date",
    "parse_set_cookie",
]
