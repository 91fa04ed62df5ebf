"""What torchvision has and minitorch.vision has not is named in the error, with the nearest thing that exists."""
from __future__ import annotations

import difflib
from collections.abc import Iterable


def absent(module: str, name: str, names: Iterable[str], instead: str = "") -> AttributeError:
    """The error for `module.name`: the nearest of the `names` that `module` has, and what to do `instead`.

    >>> absent("vision.ops", "mns", ["nms", "box_iou"])
    AttributeError("module 'vision.ops' has no attribute 'mns'; the nearest that exists is 'nms'")
    """
    near = difflib.get_close_matches(name, list(names), 1)
    message = f"module '{module}' has no attribute '{name}'"
    if near:
        message += f"; the nearest that exists is '{near[0]}'"
    return AttributeError(message + (f". {instead}" if instead else ""))
