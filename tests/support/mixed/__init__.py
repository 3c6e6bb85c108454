"""A mixed load while a PoP gets another configuration every second, and is then replaced."""
