"""What a stored object costs in resident memory, and where churn ends (`python -m bench.memory`)."""
