"""Why a batch is refused."""

from __future__ import annotations

from osmia.model.errors import InputError, RejectedError, UnavailableError

__all__ = ["BadBatchError", "NotStoredError", "TooLargeError", "UnknownKeyError"]


class BadBatchError(InputError):
    """A batch without the promised form; `field`, `value` and `problem` say what is wrong, `cause` counts it."""

    def __init__(self, field: str, value: str, problem: str, *, cause: str, remedy: str) -> None:
        super().__init__(f"{field} = {value!r}: {problem}", remedy=remedy)
        self.field = field
        self.value = value
        self.problem = problem
        self.cause = cause


class TooLargeError(BadBatchError):
    """A batch above the size limit."""


class UnknownKeyError(RejectedError):
    """No such cluster, or not its key; the two are not told apart on purpose."""


class NotStoredError(UnavailableError):
    """Too much is waiting or the store failed; the same batch is welcome again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, remedy=f"repeat the same batch after {retry_after_s} s")
        self.retry_after_s = retry_after_s
