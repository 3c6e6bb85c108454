"""Identities, contexts and the TLS 1.3 channel over memory BIOs."""
