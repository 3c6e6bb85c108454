"""What a handshake costs a server: the edge beside nginx."""
