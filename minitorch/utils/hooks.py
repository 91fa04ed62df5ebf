"""What registering a hook returns, and names around it."""
from __future__ import annotations

import functools
import warnings
from typing import Any

from ..tensor import Handle as RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Any) -> Any:
    """Marks a hook that is not to be saved with a tensor; saving it warns."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn where `tensor` has hooks that saving it would lose."""
    for hook in (tensor._hooks or {}).values():
        if not getattr(hook, "__torch_unserializable__", False):
            name = getattr(hook, "__name__", functools.partial(repr, hook))
            warnings.warn(f"backward hook {name} on tensor will not be serialized. If this is expected, you can "
                          "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                          stacklevel=2)
