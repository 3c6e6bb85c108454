"""HTTP/2 (RFC 9113), HPACK (RFC 7541) and priorities (RFC 9218), without I/O."""
