"""HTTP semantics, pure: values and functions over them, without I/O and without a clock."""
