# cython: language_level=3
"""Where the fields of the tallies' structs lie: a test holds them against the numpy dtypes of `osmia.load.tally`."""

from osmia.load.client.core.tally cimport HISTOGRAM_BUCKETS, RunTally, SampleRow, StepTally, histogram_bucket


def buckets():
    """Length of a histogram."""
    return HISTOGRAM_BUCKETS


def bucket(latency_ns):
    """The bucket of a value in ns."""
    return histogram_bucket(latency_ns)


def layout():
    """Name of each struct -> its size and the offset of each field."""
    cdef RunTally run
    cdef StepTally step
    cdef SampleRow sample
    return {
        "RUN": (sizeof(RunTally), {
            "stop": <char *>&run.stop - <char *>&run,
            "state": <char *>&run.state - <char *>&run,
            "zero_ns": <char *>&run.zero_ns - <char *>&run,
            "iterations_due": <char *>&run.iterations_due - <char *>&run,
            "iterations_started": <char *>&run.iterations_started - <char *>&run,
            "iterations_finished": <char *>&run.iterations_finished - <char *>&run,
            "iterations_succeeded": <char *>&run.iterations_succeeded - <char *>&run,
            "iterations_failed": <char *>&run.iterations_failed - <char *>&run,
            "iterations_assertion_failed": <char *>&run.iterations_assertion_failed - <char *>&run,
            "succeeded_ns": <char *>&run.succeeded_ns - <char *>&run,
            "iteration_min_ns": <char *>&run.iteration_min_ns - <char *>&run,
            "iteration_max_ns": <char *>&run.iteration_max_ns - <char *>&run,
            "in_flight": <char *>&run.in_flight - <char *>&run,
            "in_flight_max": <char *>&run.in_flight_max - <char *>&run,
            "backlog": <char *>&run.backlog - <char *>&run,
            "backlog_max": <char *>&run.backlog_max - <char *>&run,
            "connections": <char *>&run.connections - <char *>&run,
            "connections_max": <char *>&run.connections_max - <char *>&run,
            "connections_opened": <char *>&run.connections_opened - <char *>&run,
            "handshakes": <char *>&run.handshakes - <char *>&run,
            "handshakes_resumed": <char *>&run.handshakes_resumed - <char *>&run,
            "samples_dropped": <char *>&run.samples_dropped - <char *>&run,
            "cpu_ns": <char *>&run.cpu_ns - <char *>&run,
            "first_ns": <char *>&run.first_ns - <char *>&run,
            "last_ns": <char *>&run.last_ns - <char *>&run,
            "lag": <char *>&run.lag - <char *>&run,
            "iterations": <char *>&run.iterations - <char *>&run,
        }),
        "STEP": (sizeof(StepTally), {
            "started": <char *>&step.started - <char *>&step,
            "answered": <char *>&step.answered - <char *>&step,
            "failed": <char *>&step.failed - <char *>&step,
            "assertion_failed": <char *>&step.assertion_failed - <char *>&step,
            "retried": <char *>&step.retried - <char *>&step,
            "redirects": <char *>&step.redirects - <char *>&step,
            "reused": <char *>&step.reused - <char *>&step,
            "sent_bytes": <char *>&step.sent_bytes - <char *>&step,
            "received_bytes": <char *>&step.received_bytes - <char *>&step,
            "service_min_ns": <char *>&step.service_min_ns - <char *>&step,
            "service_max_ns": <char *>&step.service_max_ns - <char *>&step,
            "response_max_ns": <char *>&step.response_max_ns - <char *>&step,
            "phase_ns": <char *>&step.phase_ns - <char *>&step,
            "phase_count": <char *>&step.phase_count - <char *>&step,
            "errors": <char *>&step.errors - <char *>&step,
            "statuses": <char *>&step.statuses - <char *>&step,
            "service": <char *>&step.service - <char *>&step,
            "response": <char *>&step.response - <char *>&step,
        }),
        "SAMPLE": (sizeof(SampleRow), {
            "iteration": <char *>&sample.iteration - <char *>&sample,
            "intended_ns": <char *>&sample.intended_ns - <char *>&sample,
            "started_ns": <char *>&sample.started_ns - <char *>&sample,
            "ended_ns": <char *>&sample.ended_ns - <char *>&sample,
            "phase_ns": <char *>&sample.phase_ns - <char *>&sample,
            "received_bytes": <char *>&sample.received_bytes - <char *>&sample,
            "step": <char *>&sample.step - <char *>&sample,
            "status": <char *>&sample.status - <char *>&sample,
            "failure": <char *>&sample.failure - <char *>&sample,
            "flags": <char *>&sample.flags - <char *>&sample,
            "spare": <char *>&sample.spare - <char *>&sample,
        }),
    }
