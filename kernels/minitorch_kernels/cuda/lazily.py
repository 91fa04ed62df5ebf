"""CuPy, imported when it is first used: so launchers can be read, and their kernels compiled, where there is none."""
from __future__ import annotations

import importlib
from typing import Any


class _CuPy:
    """The module's attributes; each is looked up once."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # which tools ask of everything
            raise AttributeError(name)
        found = getattr(importlib.import_module("cupy"), name)
        setattr(self, name, found)
        return found


cupy: Any = _CuPy()
