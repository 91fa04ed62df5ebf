"""What programs do to a model's parameters as a whole: clip gradients, flatten, reparametrise weights, prune."""
from __future__ import annotations

import importlib
from typing import Any

from ...errors import absent_from
from . import rnn
from .clip_grad import clip_grad_norm, clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from .convert_parameters import parameters_to_vector, vector_to_parameters

# what is imported when it is first used, and where it stands
_LATER = {"fuse_conv_bn_eval": "fusion", "fuse_conv_bn_weights": "fusion", "fuse_linear_bn_eval": "fusion",
          "fuse_linear_bn_weights": "fusion", "remove_spectral_norm": "norms", "remove_weight_norm": "norms",
          "skip_init": "init", "spectral_norm": "norms", "weight_norm": "norms"}
_MODULES = ("fusion", "init", "norms", "parametrizations", "parametrize", "prune", "stateless")

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
           "parameters_to_vector", "parametrizations", "parametrize", "rnn", "stateless", "vector_to_parameters",
           *_LATER]

_absent = absent_from(__name__, lambda: (*__all__, *_MODULES))


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return _absent(name)
