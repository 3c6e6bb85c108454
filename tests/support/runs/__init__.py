"""What the long runs share: an origin whose content is known to all, its PoP, and its clients."""
