"""`torch.utils.benchmark`: times of statements, measured with replicates (`Timer`) and set side by side (`Compare`)."""
from ...errors import absent_from
from .compare import Colorize, Compare
from .fuzzer import FuzzedParameter, FuzzedTensor, Fuzzer, ParameterAlias
from .measurement import (
    Measurement,
    TaskSpec,
    ordered_unique,
    select_unit,
    set_torch_threads,
    trim_sigfig,
    unit_to_english,
)
from .sparse_fuzzer import FuzzedSparseTensor
from .timer import Language, Timer, timer

__all__ = ["Colorize", "Compare", "FuzzedParameter", "FuzzedSparseTensor", "FuzzedTensor", "Fuzzer", "Language",
           "Measurement", "ParameterAlias", "TaskSpec", "Timer", "ordered_unique", "select_unit", "set_torch_threads",
           "timer", "trim_sigfig", "unit_to_english"]

__getattr__ = absent_from(__name__, lambda: __all__)
