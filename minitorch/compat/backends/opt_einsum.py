"""The package opt_einsum, which is not used."""

enabled = False
strategy = None


def is_available() -> bool:
    """False."""
    return False
