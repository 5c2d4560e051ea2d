# cython: language_level=3
"""epoll with nanoseconds, and the clock."""

from libc.errno cimport ENOSYS, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        void *ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLLIN
        EPOLLOUT
        EPOLLRDHUP
        EPOLLERR
        EPOLLHUP
        EPOLLET

cdef extern from *:
    """
    #define _GNU_SOURCE 1
    #include <errno.h>
    #include <stdint.h>
    #include <sys/epoll.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <sys/timerfd.h>
    #include <time.h>
    #include <unistd.h>

    static inline uint64_t osmia_clock(clockid_t clock)
    {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
    }

    /* By number: glibc has a wrapper only since 2.35; Linux knows it since 5.11, before that it is ENOSYS. */
    static inline int osmia_epoll_wait(int epoll, struct epoll_event *events, int most, uint64_t wait_ns)
    {
        struct timespec timeout = { (time_t)(wait_ns / 1000000000ull), (long)(wait_ns % 1000000000ull) };

    #ifdef SYS_epoll_pwait2
        return (int)syscall(SYS_epoll_pwait2, epoll, events, most, &timeout, NULL, 0);
    #else
        (void)timeout;
        errno = ENOSYS;
        return -1;
    #endif
    }

    static inline void osmia_timer_set(int timer, uint64_t wait_ns)
    {
        struct itimerspec at = { { 0, 0 }, { (time_t)(wait_ns / 1000000000ull), (long)(wait_ns % 1000000000ull) } };

        timerfd_settime(timer, 0, &at, NULL);
    }
    """
    uint64_t osmia_clock(int clock) noexcept nogil
    int osmia_epoll_wait(int epoll, epoll_event *events, int most, uint64_t wait_ns) noexcept nogil
    void osmia_timer_set(int timer, uint64_t wait_ns) noexcept nogil
    int epoll_wait(int epoll, epoll_event *events, int most, int timeout_ms) noexcept nogil
    int timerfd_create(int clock, int flags) noexcept nogil
    int prctl(int option, unsigned long value, unsigned long, unsigned long, unsigned long) noexcept nogil
    enum:
        CLOCK_MONOTONIC
        CLOCK_PROCESS_CPUTIME_ID
        PR_SET_TIMERSLACK
        PR_GET_TIMERSLACK
        TFD_NONBLOCK
        TFD_CLOEXEC

cdef inline uint64_t clock_ns() noexcept nogil:
    """CLOCK_MONOTONIC."""
    return osmia_clock(CLOCK_MONOTONIC)

cdef inline void open_timer(int epoll, int *timer) noexcept nogil:
    """From now on a timerfd ends each wait."""
    cdef epoll_event event
    timer[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
    event.events = EPOLLIN | EPOLLET
    event.data.ptr = timer
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer[0], &event)

cdef inline int wait_for_events(
    int epoll, int *timer, epoll_event *events, int most, uint64_t wait_ns
) noexcept nogil:
    """Events, 0 after the time, -1 if interrupted; `timer` is -1 until epoll_pwait2 turned out to be unknown."""
    cdef int got
    if timer[0] < 0:
        got = osmia_epoll_wait(epoll, events, most, wait_ns)
        if got >= 0 or errno != ENOSYS:
            return got
        open_timer(epoll, timer)
    if wait_ns == 0:
        return epoll_wait(epoll, events, most, 0)
    osmia_timer_set(timer[0], wait_ns)
    return epoll_wait(epoll, events, most, -1)
