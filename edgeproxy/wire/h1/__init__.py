"""HTTP/1.1 as bytes: requests in, responses out (RFC 9112), without I/O.

`reader` is the entrance for what a client sends, `encode` makes what it receives.
"""
