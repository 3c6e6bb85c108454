"""One request over one fresh connection, in a protocol of choice, and all that was seen of it.

For operators: what an edge answers over HTTP/1.1, HTTP/2 and HTTP/3, with which certificate, staple
and timing. Parsers and state machines are libraries' (httptools, h2, aioquic) and none of the
edge's own, so that it is another's reading that judges.
"""
