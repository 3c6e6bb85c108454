"""The edge beside another cache, measured in one run on the same core."""
