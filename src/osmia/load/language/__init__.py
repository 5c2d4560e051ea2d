"""The language of rules: text -> `lexer` -> `parser` -> `tree` -> `code` -> `rule`, one Python function each.

What rules and captures speak about is `answer.Answer`; how values are found in it, `extract`. This file imports
nothing: a load without rules starts without them.
"""
