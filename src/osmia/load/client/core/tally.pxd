# cython: language_level=3
"""The structs of `osmia.load.tally`, byte for byte, and the counting that is done on them.

A test holds sizes and offsets against the numpy dtypes. The histogram's bucket function is the kernel side's own.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <linux/types.h>
    #include "lib/histogram.h"
    """
    enum:
        HISTOGRAM_BUCKETS
    uint16_t histogram_bucket(uint64_t latency_ns) noexcept nogil

cdef enum Phase:
    PHASE_WAIT = 0
    PHASE_DNS = 1
    PHASE_CONNECT = 2
    PHASE_TLS = 3
    PHASE_REQUEST_WRITE = 4
    PHASE_SERVER_PROCESSING = 5
    PHASE_RESPONSE_READ = 6
    PHASE_TOTAL = 7
    PHASES = 8

cdef enum Failure:
    NO_FAILURE = 0
    CONNECTION_REFUSED = 1
    CONNECTION_TIMEOUT = 2
    CONNECTION_RESET = 3
    CONNECTION_CLOSED = 4
    HOST_UNREACHABLE = 5
    NETWORK_UNREACHABLE = 6
    DNS_NOT_FOUND = 7
    DNS_TIMEOUT = 8
    DNS_FAILED = 9
    TLS_FAILED = 10
    TLS_CERTIFICATE_INVALID = 11
    TLS_CERTIFICATE_EXPIRED = 12
    TLS_HOSTNAME_MISMATCH = 13
    TLS_CLIENT_CERTIFICATE = 14
    TLS_TIMEOUT = 15
    WRITE_TIMEOUT = 16
    READ_TIMEOUT = 17
    PROXY_CONNECTION_REFUSED = 18
    PROXY_TIMEOUT = 19
    PROXY_AUTHENTICATION = 20
    PROXY_FAILED = 21
    RESPONSE_MALFORMED = 22
    RESPONSE_TOO_LARGE = 23
    HTTP2_PROTOCOL = 24
    HTTP2_REFUSED_STREAM = 25
    HTTP2_STREAM_RESET = 26
    HTTP2_GOAWAY = 27
    HTTP2_NOT_NEGOTIATED = 28
    TOO_MANY_REDIRECTS = 29
    REDIRECT_FORBIDDEN = 30
    REQUEST_INVALID = 31
    NO_LOCAL_PORT = 32
    NO_DESCRIPTOR = 33
    CANCELLED = 34
    UNKNOWN_FAILURE = 63

cdef enum SampleFlag:
    SAMPLE_REUSED = 1
    SAMPLE_ASSERTION_FAILED = 2
    SAMPLE_RETRIED = 4
    SAMPLE_HTTP2 = 8

cdef enum WorkerState:
    STATE_STARTING = 0
    STATE_READY = 1
    STATE_RUNNING = 2
    STATE_DRAINING = 3
    STATE_DONE = 4

cdef struct RunTally:
    uint32_t stop
    uint32_t state
    uint64_t zero_ns
    uint64_t iterations_due
    uint64_t iterations_started
    uint64_t iterations_finished
    uint64_t iterations_succeeded
    uint64_t iterations_failed
    uint64_t iterations_assertion_failed
    uint64_t succeeded_ns
    uint64_t iteration_min_ns
    uint64_t iteration_max_ns
    uint64_t in_flight
    uint64_t in_flight_max
    uint64_t backlog
    uint64_t backlog_max
    uint64_t connections
    uint64_t connections_max
    uint64_t connections_opened
    uint64_t handshakes
    uint64_t handshakes_resumed
    uint64_t samples_dropped
    uint64_t cpu_ns
    uint64_t first_ns
    uint64_t last_ns
    uint64_t lag[865]
    uint64_t iterations[865]

cdef struct StepTally:
    uint64_t started
    uint64_t answered
    uint64_t failed
    uint64_t assertion_failed
    uint64_t retried
    uint64_t redirects
    uint64_t reused
    uint64_t sent_bytes
    uint64_t received_bytes
    uint64_t service_min_ns
    uint64_t service_max_ns
    uint64_t response_max_ns
    uint64_t phase_ns[8]
    uint64_t phase_count[8]
    uint64_t errors[64]
    uint64_t statuses[1000]
    uint64_t service[865]
    uint64_t response[865]

cdef packed struct SampleRow:
    uint64_t iteration
    uint64_t intended_ns
    uint64_t started_ns
    uint64_t ended_ns
    uint32_t phase_ns[8]
    uint32_t received_bytes
    uint16_t step
    uint16_t status
    uint8_t failure
    uint8_t flags
    uint8_t spare[2]
