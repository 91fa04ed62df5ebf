"""`torch.utils.benchmark`: times of statements, measured with replicates (`Timer`) and set side by side (`Compare`)."""
from ...errors import absent_from
from .compare import Colorize, Compare
from .measurement import (
    Measurement,
    TaskSpec,
    ordered_unique,
    select_unit,
    set_torch_threads,
    trim_sigfig,
    unit_to_english,
)
from .timer import Language, Timer, timer

__all__ = ["Colorize", "Compare", "Language", "Measurement", "TaskSpec", "Timer", "ordered_unique", "select_unit",
           "set_torch_threads", "timer", "trim_sigfig", "unit_to_english"]

__getattr__ = absent_from(__name__, lambda: __all__, dict.fromkeys(
    ("FuzzedParameter", "FuzzedSparseTensor", "FuzzedTensor", "Fuzzer", "ParameterAlias"),
    "'hypothesis', a package that draws arguments at random"))
