"""The process: composition root, signals, drain."""
