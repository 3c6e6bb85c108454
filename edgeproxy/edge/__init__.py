"""The data path: from a request to a response, through lookup, coalescing, fetch and delivery."""
