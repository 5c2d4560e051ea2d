# cython: language_level=3
"""Calls of the script: what Python costs per request is here.

The loop holds the GIL from the first call of a turn until it waits again, so that taking it here only counts up. An
exception is kept in `error` and said by SAID_ERROR; the loop then ends the run and raises it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t

from osmia.load.client.core.connection cimport Buffer, Iteration
from osmia.load.client.core.targets cimport Targets

from osmia.load.client.transport import Give, Outgoing

cdef object _GIVE = Give
cdef object _OUTGOING = Outgoing


cdef class Calls:
    """The script's methods, bound once."""

    def __cinit__(self, object script, Targets targets):
        self._begin = script.begin
        self._render = script.render
        self._inspect = script.inspect
        self._fail = script.fail
        self._end = script.end
        self._targets = targets
        self.error = None

    cdef void set_error(self, object exc) noexcept:
        """The first one counts."""
        if self.error is None:
            self.error = exc

    cdef object take_error(self):
        """The error, which is no longer kept: its traceback holds the loop."""
        error, self.error = self.error, None
        return error

    cdef int begin(self, Iteration *it, int64_t user) noexcept with gil:
        """An iteration starts; its state is kept with it."""
        try:
            state = self._begin(it.number, user)
        except BaseException as exc:  # noqa: BLE001 - raised by the loop
            self.set_error(exc)
            return SAID_ERROR
        Py_INCREF(state)
        it.script = <void *>state
        return SAID_FINE

    cdef int render(self, Iteration *it) noexcept with gil:
        """The request of a step."""
        try:
            said = self._take(it, self._render(_state(it), it.step))
        except BaseException as exc:  # noqa: BLE001 - raised by the loop
            self.set_error(exc)
            return SAID_ERROR
        return said

    cdef int inspect(self, Iteration *it, uint64_t service_ns) noexcept with gil:
        """Show an answer."""
        try:
            said = self._inspect(
                _state(it), it.step, it.answer.status, _bytes(&it.answer.head), _bytes(&it.answer.body), service_ns
            )
            if said is True:
                return SAID_FINE
            if said is False:
                return SAID_ASSERTION_FAILED
            return self._take(it, said)
        except BaseException as exc:  # noqa: BLE001 - raised by the loop
            self.set_error(exc)
            return SAID_ERROR

    cdef int fail(self, Iteration *it) noexcept with gil:
        """Tell a failure."""
        try:
            self._fail(_state(it), it.step, _FAILURES[it.failure])
        except BaseException as exc:  # noqa: BLE001 - raised by the loop
            self.set_error(exc)
            return SAID_ERROR
        return SAID_FINE

    cdef int end(self, Iteration *it) noexcept with gil:
        """The iteration is over."""
        try:
            self._end(_state(it))
        except BaseException as exc:  # noqa: BLE001 - raised by the loop
            self.set_error(exc)
            return SAID_ERROR
        return SAID_FINE

    cdef void forget(self, Iteration *it) noexcept with gil:
        """Let go of what the iteration holds."""
        _drop(&it.script)
        _drop(&it.rendered)
        it.request = NULL

    cdef int _take(self, Iteration *it, object said) except -1:
        """A request or a refusal."""
        if PyBytes_CheckExact(said):
            _keep(it, said)
            return SAID_REQUEST
        if isinstance(said, _OUTGOING):
            it.target = self._targets.find(said.endpoint)
            _keep(it, said.request)
            return SAID_REQUEST
        if isinstance(said, _GIVE):
            it.failure = int(said.failure)
            return SAID_GIVE
        raise TypeError(f"the script answered {said!r}")


cdef object _failures():
    from osmia.load.tally import Failure

    known = {int(failure): failure for failure in Failure}
    return tuple(known.get(number, Failure.UNKNOWN) for number in range(64))


cdef object _FAILURES = _failures()


cdef inline object _state(Iteration *it):
    return <object>it.script if it.script != NULL else None


cdef inline bytes _bytes(Buffer *buffer):
    if buffer.length == 0:
        return b""
    return PyBytes_FromStringAndSize(<char *>buffer.data, buffer.length)


cdef inline void _drop(void **place) noexcept:
    cdef PyObject *kept = <PyObject *>place[0]
    if kept != NULL:
        place[0] = NULL
        Py_DECREF(<object>kept)


cdef inline int _keep(Iteration *it, bytes request) except -1:
    _drop(&it.rendered)
    Py_INCREF(request)
    it.rendered = <void *>request
    it.request = <const uint8_t *>PyBytes_AS_STRING(request)
    it.request_bytes = PyBytes_GET_SIZE(request)
    return 0
