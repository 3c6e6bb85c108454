"""From worker to worker: the way to whoever owns a key, and what is said on it."""
