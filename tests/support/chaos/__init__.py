"""Chaos: processes of a PoP are killed while its disk tier is filled."""
