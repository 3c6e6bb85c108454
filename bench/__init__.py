"""Load and cost measurements; nothing here is part of the product."""
