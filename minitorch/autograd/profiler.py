"""Names for parts of a program in a profile."""
from contextlib import ContextDecorator

__all__ = ["record_function"]


class record_function(ContextDecorator):
    """Names what runs within the block. Nothing is recorded unless a profiler runs, and there is none here."""

    def __init__(self, name: str, args: "str | None" = None):
        self.name, self.args = name, args

    def __enter__(self) -> "record_function":
        return self

    def __exit__(self, *exception: object) -> None:
        return None
