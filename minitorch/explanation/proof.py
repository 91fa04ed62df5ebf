"""The tests that prove an op or a kernel: its cases in the table of samples."""
from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

from .source import Source, has_source


@dataclass(frozen=True)
class Proof:
    """One case: how many samples of it there are, against what reference, in which dtypes, and what is checked."""

    name: str
    samples: int
    errors: int  # calls that must raise
    dtypes: tuple[str, ...]
    checks: tuple[str, ...]  # "values", "gradients", "second derivatives"
    reference: str
    location: str

    def __str__(self) -> str:
        checked = ", ".join(self.checks[:-1]) + " and " * (len(self.checks) > 1) + self.checks[-1]
        text = f"{self.name}: {self.samples} sample{'s' * (self.samples != 1)}, {checked}"
        text += f" in {', '.join(self.dtypes)}" * bool(self.dtypes) + f", against {self.reference} at {self.location}"
        return text + f"; {self.errors} wrong call{'s' * (self.errors != 1)} that must raise" * bool(self.errors)


def proofs(name: str, kernels: bool = False) -> list[Proof]:
    """The cases of an op or function, by the last part of its name; with `kernels`, those that must reach the kernel.

    Without the samples, which an installation may lack, there are none.
    """
    if kernels:
        ops = [_of_op(case) for case in _cases()[0] if name in case.kernels]
        return ops + [_of_kernel(case) for case in _cases()[1] if case.name == name]
    last = name.rpartition(".")[2]
    names = {name, last, f"nn.functional.{last}", f"Tensor.{last}"}
    return [_of_op(case) for case in _cases()[0] if case.name in names]


@cache
def _cases() -> tuple[list[Any], list[Any]]:
    from ..selfcheck import samples

    try:
        table = samples()
    except ImportError:
        return [], []
    return table.load(), table.KERNEL_CASES


def _of_op(case: Any) -> Proof:
    checks = ("values", *["gradients"] * case.grad, *["second derivatives"] * (case.grad and case.second))
    return Proof(case.id, len(case.samples), len(case.errors), tuple(case.dtypes), checks, *_reference(case))


def _of_kernel(case: Any) -> Proof:
    return Proof(f"k.{case.name}", len(case.samples), 0, (), ("values",), *_reference(case))


def _reference(case: Any) -> tuple[str, str]:
    """What the case is compared with, and where that stands."""
    if case.reference is None:
        from minitorch_kernels import table

        return "the kernel's reference", Source(table.get(case.name).reference).location
    function = inspect.unwrap(case.reference)
    if not has_source(function):
        return f"{function.__module__ or 'numpy'}.{function.__name__}", f"samples/{case.family}.py"
    name = function.__name__ if function.__name__ != "<lambda>" else "a formula"
    return name, _below(Source(function).location)


def _below(location: str) -> str:
    """`samples/softmax.py:21`, wherever the samples are installed."""
    return "/".join(location.split("/")[-2:])
