# cython: language_level=3
"""Names to addresses off the hot path: `getaddrinfo` in a thread per lookup, which wakes the loop by an eventfd.

A lookup can take as long as a broken name server likes, longer than the run: then the loop leaves it alone, and the
thread itself frees what it found. Who frees is settled by one atomic exchange. The thread never touches Python, nor
anything of the loop but its own duplicate of the eventfd.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strncpy

from osmia.load.client.core.connection cimport Target, sockaddr_storage, socklen_t
from osmia.load.client.core.tally cimport DNS_FAILED, DNS_NOT_FOUND

cdef extern from "netdb.h" nogil:
    cdef struct sockaddr:
        pass
    cdef struct addrinfo:
        int ai_flags
        int ai_family
        int ai_socktype
        int ai_protocol
        socklen_t ai_addrlen
        sockaddr *ai_addr
        addrinfo *ai_next
    int getaddrinfo(const char *node, const char *service, const addrinfo *hints, addrinfo **result)
    void freeaddrinfo(addrinfo *result)
    enum:
        AI_NUMERICHOST
        AI_NUMERICSERV
        AI_ADDRCONFIG
        EAI_NONAME
        EAI_NODATA
        SOCK_STREAM
        AF_UNSPEC

cdef extern from "pthread.h" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_attr_t:
        pass
    int pthread_create(pthread_t *thread, pthread_attr_t *attributes, void *(*start)(void *) noexcept nogil, void *)
    int pthread_attr_init(pthread_attr_t *attributes)
    int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
    int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
    int pthread_attr_destroy(pthread_attr_t *attributes)
    enum:
        PTHREAD_CREATE_DETACHED

cdef extern from "unistd.h" nogil:
    ssize_t write(int fd, const void *data, size_t length)
    int close(int fd)
    int dup(int fd)

cdef extern from *:
    """
    static inline int osmia_exchange(int *place, int value)
    {
        return __atomic_exchange_n(place, value, __ATOMIC_ACQ_REL);
    }
    static inline int osmia_load(int *place)
    {
        return __atomic_load_n(place, __ATOMIC_ACQUIRE);
    }
    """
    int osmia_exchange(int *place, int value) noexcept nogil
    int osmia_load(int *place) noexcept nogil

cdef enum LookupState:
    LOOKUP_RUNNING = 0
    LOOKUP_DONE = 1
    LOOKUP_ABANDONED = 2

cdef enum:
    NAME_BYTES = 256
    STACK_BYTES = 256 * 1024
    MOST_ADDRESSES = 16

cdef struct Lookup:
    char host[NAME_BYTES]
    char service[8]
    addrinfo hints
    addrinfo *found
    int error
    int wake_fd
    int state


cdef bint resolver_literal(Target *target) noexcept nogil:
    """Whether the host is an address; it is then filled in, and no lookup will be needed."""
    cdef Lookup *lookup = _new(target)
    cdef bint is_literal
    if lookup == NULL:
        return False
    lookup.hints.ai_flags |= AI_NUMERICHOST
    is_literal = getaddrinfo(lookup.host, lookup.service, &lookup.hints, &lookup.found) == 0
    if is_literal:
        _keep(target, lookup.found)
    _free(lookup)
    return is_literal


cdef int resolver_start(Target *target, int wake_fd) noexcept nogil:
    """Begin a lookup; -1 if that cannot be."""
    cdef Lookup *lookup = _new(target)
    cdef pthread_t thread
    cdef pthread_attr_t attributes
    cdef int failed
    if lookup == NULL:
        return -1
    lookup.wake_fd = dup(wake_fd)
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED)
    pthread_attr_setstacksize(&attributes, STACK_BYTES)
    failed = lookup.wake_fd < 0 or pthread_create(&thread, &attributes, _look_up, lookup) != 0
    pthread_attr_destroy(&attributes)
    if failed:
        _free(lookup)
        return -1
    target.lookup = lookup
    return 0


cdef bint resolver_take(Target *target) noexcept nogil:
    """Whether the lookup has ended; its addresses or `lookup_error` are then the target's."""
    cdef Lookup *lookup = <Lookup *>target.lookup
    if lookup == NULL or osmia_load(&lookup.state) != LOOKUP_DONE:
        return False
    target.lookup = NULL
    target.lookup_error = lookup.error
    if lookup.error == 0:
        _keep(target, lookup.found)
    _free(lookup)
    return True


cdef void resolver_abandon(Target *target) noexcept nogil:
    """The loop ends: the lookup under way is left to its thread."""
    cdef Lookup *lookup = <Lookup *>target.lookup
    if lookup != NULL and osmia_exchange(&lookup.state, LOOKUP_ABANDONED) == LOOKUP_DONE:
        _free(lookup)
    target.lookup = NULL


cdef int resolver_failure(int error) noexcept nogil:
    """The Failure that an error of getaddrinfo is."""
    return DNS_NOT_FOUND if error == EAI_NONAME or error == EAI_NODATA else DNS_FAILED


cdef Lookup *_new(Target *target) noexcept nogil:
    cdef Lookup *lookup = <Lookup *>calloc(1, sizeof(Lookup))
    cdef int port = target.dial_port
    cdef int i = 5
    if lookup == NULL:
        return NULL
    strncpy(lookup.host, target.dial_host, NAME_BYTES - 1)
    while i > 0:
        i -= 1
        lookup.service[i] = <char>(c"0" + port % 10)
        port //= 10
    memset(&lookup.hints, 0, sizeof(addrinfo))
    lookup.hints.ai_family = AF_UNSPEC
    lookup.hints.ai_socktype = SOCK_STREAM
    lookup.hints.ai_flags = AI_NUMERICSERV
    lookup.wake_fd = -1
    return lookup


cdef void _free(Lookup *lookup) noexcept nogil:
    if lookup.found != NULL:
        freeaddrinfo(lookup.found)
    if lookup.wake_fd >= 0:
        close(lookup.wake_fd)
    free(lookup)


cdef void *_look_up(void *argument) noexcept nogil:
    """The thread: the write is the last that it does with the loop's things."""
    cdef Lookup *lookup = <Lookup *>argument
    cdef uint64_t one = 1
    cdef int wake_fd = lookup.wake_fd
    lookup.error = getaddrinfo(lookup.host, lookup.service, &lookup.hints, &lookup.found)
    if lookup.error != 0:
        lookup.found = NULL
    lookup.wake_fd = -1  # this thread's own from here on
    if osmia_exchange(&lookup.state, LOOKUP_DONE) == LOOKUP_ABANDONED:
        _free(lookup)
    else:
        write(wake_fd, &one, sizeof(one))
    close(wake_fd)
    return NULL


cdef void _keep(Target *target, addrinfo *found) noexcept nogil:
    """Copy the addresses; the one that answered last is forgotten with the old ones."""
    cdef addrinfo *one = found
    target.address_count = 0
    target.address_first = 0
    if target.sockets == NULL:
        target.sockets = <sockaddr_storage *>malloc(MOST_ADDRESSES * sizeof(sockaddr_storage))
        target.socket_bytes = <socklen_t *>malloc(MOST_ADDRESSES * sizeof(socklen_t))
    if target.sockets == NULL or target.socket_bytes == NULL:
        return
    while one != NULL and target.address_count < MOST_ADDRESSES:
        memcpy(&target.sockets[target.address_count], one.ai_addr, one.ai_addrlen)
        target.socket_bytes[target.address_count] = one.ai_addrlen
        target.address_count += 1
        one = one.ai_next
