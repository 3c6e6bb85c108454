"""Downstream protocols on real sockets: bytes in, requests to the application, responses out."""
