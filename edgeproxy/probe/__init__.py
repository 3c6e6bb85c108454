"""A TLS client for operators: what addresses really present, and what is wrong with it."""
