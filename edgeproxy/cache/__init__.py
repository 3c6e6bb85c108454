"""RFC 9111 as pure functions over frozen values, one file per section."""
