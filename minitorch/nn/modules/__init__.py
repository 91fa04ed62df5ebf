"""The layers' home in PyTorch, `torch.nn.modules`: programs import base classes from its files."""
from __future__ import annotations

import sys

from .. import (
    activation,
    adaptive,
    containers,
    conv,
    distance,
    dropout,
    embedding,
    lazy,
    linear,
    loss,
    module,
    normalization,
    padding,
    pooling,
    recurrent,
    resampling,
    shape,
    transformer,
)
from ..loss import LinearCrossEntropyOptions
from ..module import Module
from . import utils

# a file here: its names in PyTorch
_FILES = {
    activation: ["activation"], adaptive: ["adaptive"], containers: ["container"], conv: ["conv"],
    distance: ["distance"], dropout: ["dropout"], embedding: ["sparse"], lazy: ["lazy"], linear: ["linear"],
    loss: ["loss"], module: ["module"], normalization: ["batchnorm", "instancenorm", "normalization"],
    padding: ["padding"], pooling: ["pooling"], recurrent: ["rnn"], resampling: ["upsampling", "pixelshuffle"],
    shape: ["flatten", "fold", "channelshuffle"], transformer: ["transformer"],
}

__all__ = ["LinearCrossEntropyOptions", "Module"]
for _file, _names in _FILES.items():
    for _name in _names:
        sys.modules[f"{__name__}.{_name}"] = _file
        globals()[_name] = _file
    for _name, _value in vars(_file).items():
        if isinstance(_value, type) and issubclass(_value, Module) and not _name.startswith("_"):
            globals()[_name] = _value
            if _name not in __all__:
                __all__.append(_name)
