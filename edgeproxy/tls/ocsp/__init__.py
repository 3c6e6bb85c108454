"""OCSP (RFC 6960): what a responder says of our own leaf, asked for ahead and judged by hand."""
