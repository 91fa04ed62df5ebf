"""The fast path of multi-head attention: there is but one path here."""

_state = {"fastpath": True}


def get_fastpath_enabled() -> bool:
    """What was set."""
    return _state["fastpath"]


def set_fastpath_enabled(value: bool) -> None:
    """Remember it."""
    _state["fastpath"] = value
