"""QUIC (RFC 9000 to 9002) over aioquic's connection, hardened: no sockets, no asyncio, no HTTP."""
