"""A well-behaved client beside every flood: what it waits for, and what the worker spends."""
