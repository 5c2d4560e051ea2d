"""The universal transport: libcurl, for what the core does not speak and where nothing was compiled.

Everything on the wire is libcurl's: connections and their reuse, TLS, HTTP/1.1, HTTP/2, HTTP/3, proxies of every kind,
the retry on a kept connection that the server had closed, the time of each phase. Ours is what libcurl leaves to its
caller, and as little of it as can be, since a request costs libcurl 13 us and every Python call 0.1 us on top:

    loop       epoll and a timerfd under `curl_multi_socket_action`; descriptors stay registered between requests
    handles    easy handles, each prepared once for a step; a request of fixed bytes is set once and never again
    flow       who sends next: arrivals, users, sleeps, limits, the script
    records    what happened, packed by the hot path and counted by numpy twenty times a second
    failures   libcurl's codes in the engine's classes

Connections belong to whom the plan says. For one crowd that is libcurl's own pool. For users with connections of their
own, each user's URLs have a port that is the user's number, and CONNECT_TO sends them to the real one: libcurl never
gives a connection to a request for another port, and needs no pool of its own per user.
"""

from osmia.load.client.curl.transport import CurlTransport

__all__ = ["CurlTransport"]
