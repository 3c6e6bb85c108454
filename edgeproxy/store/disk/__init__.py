"""The disk tier: stored responses that outlive a process, shared by all workers of a PoP."""
