"""What stored objects cost in resident memory, and where churn ends."""
