"""A warm start: how soon a PoP that is started again answers from disk, and whom it asks."""
