"""`torch.nested`: tensors whose rows differ in length. They are not there, and each name says what is."""
from __future__ import annotations

from typing import Any


def _refuse(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.nested.{name}: nested tensors are not there; the nearest that exists is "
                                  "torch.nn.utils.rnn: pad_sequence(list) for a padded tensor, pack_sequence(list) for "
                                  "one without padding")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Raises NotImplementedError."
    return call


for _name in ("as_nested_tensor", "masked_select", "narrow", "nested_tensor", "nested_tensor_from_jagged",
              "to_padded_tensor"):
    globals()[_name] = _refuse(_name)
