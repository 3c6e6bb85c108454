"""Rotation under load: handshakes and requests while certificates are replaced."""
