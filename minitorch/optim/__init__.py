"""Optimizers and learning-rate schedules, under PyTorch's names."""
from importlib import import_module as _import_module
from typing import Any as _Any

from ..errors import absent_from as _absent_from
from . import lr_scheduler
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .asgd import ASGD
from .lbfgs import LBFGS
from .muon import Muon
from .optimizer import Optimizer
from .penalty import l1_penalty, l2_penalty
from .rmsprop import RMSprop
from .rprop import Rprop
from .sgd import SGD
from .sparse_adam import SparseAdam

__all__ = ["ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon",
           "NAdam", "Optimizer", "RAdam", "RMSprop", "Rprop", "SparseAdam", "l1_penalty", "l2_penalty", "lr_scheduler"]

_absent = _absent_from(__name__, lambda: (*__all__, "swa_utils"))


def __getattr__(name: str) -> _Any:
    """`swa_utils`, which needs layers, is imported when it is first used."""
    return _import_module(f"{__name__}.{name}") if name == "swa_utils" else _absent(name)
