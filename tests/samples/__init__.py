"""The table of samples: what proves each op, in one place. The tests and `minitorch.selfcheck` are driven by it.

A family of ops has a file here, which registers a case an op:

    from . import BadInput, OpCase, Sample, register

    def softmax(x, dim):                      # the reference: float64 NumPy, independent of minitorch
        e = np.exp(x - x.max(dim, keepdims=True))
        return e / e.sum(dim, keepdims=True)

    register(OpCase("softmax", softmax, [
        Sample(lambda rng: (rng.standard_normal((3, 4)),), dict(dim=1)),
        Sample(lambda rng: (rng.standard_normal((0, 4)),), dict(dim=1)),
        Sample(lambda rng: (np.array([np.inf, 0.0]),), dict(dim=0), grad=False),
    ], errors=[
        BadInput((np.zeros((2, 3)),), dict(dim=5), IndexError, "softmax: dim"),
    ]))

How arguments are read, positional and keyword alike, also within lists and tuples:
- float64 and complex128 arrays become tensors of the dtype under test (complex64 beside float32), and get gradients;
- float32, integer and bool arrays become tensors of their own dtype: indices, masks, class numbers, promotion;
- everything else is handed on as it is: Python numbers, None, strings, slices.
The reference gets the same arguments as arrays (float64 ones hold the values rounded to the dtype under test), returns
an array, or a list or tuple of arrays for several outputs, with None for one that is not compared. It must not be
minitorch. Import SciPy, if needed, inside it.

What is made of a case: forward in each dtype with its result dtype; gradients and second derivatives against
differences of the reference; strided copies of the inputs; inputs left as they were; every backend and kernel version
that the sample reaches, against the kernel's reference; in-place `name_` where there is one; PyTorch's result where
torch is installed; the errors. So samples should be tiny, awkward (empty, size 1, broadcast, odd sizes, negative dims)
and a step of 1e-5 away from kinks and ties. For what is broad use `big=True` on one sample.
"""
from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FLOATS = ("float64", "float32", "float16")  # the default dtypes under test
WIDE = ("float64", "float32")
CASES: list[OpCase] = []  # filled by the families; complete after `load()`
KERNEL_CASES: list[KernelCase] = []


@dataclass
class Sample:
    """One call: `arguments(rng)` makes the positional arguments (or is their tuple), `options` are the keywords."""

    arguments: Callable[[np.random.Generator], tuple] | tuple
    options: dict[str, Any] = field(default_factory=dict)
    name: str = ""  # for the test's id; made from shapes and options otherwise
    grad: bool = True  # False: forward only, for values at kinks, infinities, NaN
    big: bool = False  # large enough for a threaded or blocked kernel: forward, gradient and kernels only
    dtypes: tuple[str, ...] | None = None  # instead of the case's
    layouts: bool = True  # False: inputs that are not contiguous raise RuntimeError

    def make(self, seed: int) -> tuple[tuple, dict]:
        """Fresh arguments and options: the same for the same seed."""
        rng = np.random.default_rng(seed)
        args = self.arguments(rng) if callable(self.arguments) else self.arguments
        options = {name: value(rng) if callable(value) and getattr(value, "__name__", "") == "<lambda>" else value
                   for name, value in self.options.items()}
        return args, options

    @property
    def id(self) -> str:
        if self.name:
            return self.name
        args, options = self.make(0)
        return ",".join([*map(_brief, args), *(f"{name}={_brief(value)}" for name, value in options.items())]) or "none"


@dataclass
class BadInput:
    """A call that must raise `raises` with `match` (a regular expression) in its message, and change nothing.

    Arguments are read as in Sample, float64 arrays become float32 tensors. The message must name the op, unless
    `named` is False (Python's own TypeErrors).
    """

    arguments: tuple | Callable[[np.random.Generator], tuple]
    options: dict[str, Any]
    raises: type[Exception] | tuple[type[Exception], ...]
    match: str
    named: bool = True


@dataclass
class OpCase:
    """An op, what it should compute, and on what that is tried."""

    name: str  # in minitorch.op.OPS, or a public dotted name below minitorch: "nn.functional.mse_loss", "Tensor.view"
    reference: Callable[..., Any]
    samples: Sequence[Sample]
    errors: Sequence[BadInput] = ()
    variant: str = ""  # tells several cases of one op apart
    dtypes: tuple[str, ...] = FLOATS  # of "float64", "float32", "float16", "bfloat16"
    grad: bool = True  # whether it has gradients
    second: bool = True  # whether it has second derivatives
    constant: tuple[int | str, ...] = ()  # positions or keywords of float arguments that have no gradient
    tol: dict[str, float] = field(default_factory=dict)  # dtype: relative and absolute error allowed; say why beside it
    grad_tol: dict[str, float] = field(default_factory=dict)  # the same for gradients
    result: str | None = None  # the result's dtype where it does not follow from the reference's
    view: bool = False  # a composite that may return a view (an op says so itself)
    kernels: tuple[str, ...] = ()  # kernels that the samples must reach
    call: Callable[..., Any] | None = None  # how it is called, where `name(*arguments, **options)` is not it
    torch: str | Callable[..., Any] | None = ""  # PyTorch's name where it differs, or a function; None: do not compare
    inplace: bool = True  # False: `name_`, where there is one, is something else
    family: str = ""  # the file that registers it

    @property
    def id(self) -> str:
        return f"{self.name}-{self.variant}" if self.variant else self.name


@dataclass
class KernelCase:
    """Calls of a kernel that no op's sample reaches, an optimizer's step for one: `make(rng)` -> arguments, options."""

    name: str
    samples: Sequence[Callable[[np.random.Generator], tuple[tuple, dict]]]
    reference: Callable[..., dict[int, Any]] | None = None  # {position: what that argument holds afterwards}
    family: str = ""


def register(case: Any) -> Any:
    """Enter an OpCase or a KernelCase into the table."""
    case.family = sys._getframe(1).f_globals["__name__"].rpartition(".")[2]
    (KERNEL_CASES if isinstance(case, KernelCase) else CASES).append(case)
    return case


def load() -> list[OpCase]:
    """All cases: imports every family."""
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    return CASES


def arrays_like(shape: tuple[int, ...], *more: tuple[int, ...], low: float | None = None,
                high: float | None = None) -> Callable[[np.random.Generator], tuple]:
    """Arguments for a Sample: one array a shape, normal, or uniform between `low` and `high`."""
    def make(rng):
        return tuple(np.asarray(rng.standard_normal(s) if low is None else rng.uniform(low, high, s))
                     for s in (shape, *more))
    return make


def distinct(shape: tuple[int, ...], *more: tuple[int, ...],
             gap: float = 0.1) -> Callable[[np.random.Generator], tuple]:
    """Arguments for a Sample: arrays whose values differ by `gap` at least, and from zero: no ties for max or sort."""
    def make(rng):
        result = []
        for s in (shape, *more):
            n = int(np.prod(s))
            result.append(((rng.permutation(n) - n // 2 + 0.5) * gap).reshape(s))
        return tuple(result)
    return make


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        shape = "x".join(map(str, value.shape)) or "scalar"
        return shape if value.dtype == np.float64 else f"{value.dtype}:{shape}"
    if isinstance(value, (list, tuple)):
        return "(" + ",".join(map(_brief, value)) + ")"
    if isinstance(value, slice):
        return ":".join("" if v is None else str(v) for v in (value.start, value.stop, value.step))
    name = getattr(value, "__name__", None) or str(value)
    return type(value).__name__ if " object at 0x" in name else name
