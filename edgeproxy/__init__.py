"""A self-hosted CDN point of presence: an edge cache that pulls once from its origin."""

__version__ = "0.1.0"
