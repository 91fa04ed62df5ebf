"""OpenMP, which is not used: kernels run on a pool of Python's threads."""


def is_available() -> bool:
    """False."""
    return False
