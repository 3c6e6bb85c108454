"""The keeping of identities: which are live, their staples, their files, and the way back."""
