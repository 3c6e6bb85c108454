"""The next hop: connections to origins, and what they answer."""
