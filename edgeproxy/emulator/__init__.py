"""The demo and the development CDN: an origin, a local CA and a PoP on loopback."""
