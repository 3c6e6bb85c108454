"""What operators and their programs ask of a running point of presence: metrics and commands."""
