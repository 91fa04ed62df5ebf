"""Chains of elementwise operations as one kernel, made on demand: one pass over memory for all of them.

A `Chain` is a list of lines, each an operation on operands and earlier lines. Its text is a Python module, which
`build` compiles with Numba. Modules lie in a folder of the user's, under a name made of their text: the next process
finds them compiled.
"""
from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from . import keeping

PART = 1 << 15  # elements a thread takes at a time

# operation: (its value, with {0}, {1}, ... for the operands; a line before it, in which {n} is the line's number)
_ONE_LINE = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}", "copy": "{0}",
    "abs": "abs({0})", "square": "{0} * {0}", "sqrt": "sqrt({0})", "reciprocal": "ONE / {0}", "exp": "_exp({0})",
    "expm1": "_expm1({0})",
    "rsqrt": "ONE / sqrt({0})", "log": "_log({0})", "log1p": "_log1p({0})", "tanh": "_tanh({0})",
    "sign": "ONE if {0} > ZERO else -ONE if {0} < ZERO else {0}", "and": "{0} & {1}", "or": "{0} | {1}",
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}", "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "where": "{1} if {0} else {2}", "greater": "{0} > {1}", "greater_equal": "{0} >= {1}", "less": "{0} < {1}",
    "less_equal": "{0} <= {1}", "equal": "{0} == {1}", "not_equal": "{0} != {1}",
    "sigmoid": "_logistic({0})", "sigmoid_dx": "{0} * ({1} * (ONE - {1}))", "tanh_dx": "{0} * (ONE - {1} * {1})",
    "relu": "ZERO if {0} <= ZERO else {0}", "relu_dx": "ZERO if {1} <= ZERO else {0}",
    "leaky_relu": "{0} if {0} > ZERO else {0} * {1}", "leaky_relu_dx": "{0} if {1} > ZERO else {0} * {2}",
    "silu": "{0} * _logistic({0})", "silu_dx": "{0} * _silu_slope({1})", "gelu": "{0} * _below({0})",
    "dropout": "{0} * ({2} if {1} else ZERO)", "masked_scale": "{0} * {2} * (ONE if {1} else ZERO)",
}
_TWO_LINES = {
    "gelu_dx": ("b{n}, d{n} = _normal({1})", "{0} * (b{n} + {1} * d{n})"),
    "gelu_tanh": ("u{n}, d{n} = _twice_inner({0})", "{0} * _logistic(u{n})"),
    "gelu_tanh_dx": ("u{n}, d{n} = _twice_inner({1}); s{n} = _logistic(u{n})",
                     "{0} * (s{n} + {1} * (s{n} - s{n} * s{n}) * d{n})"),
}
_HELPERS = "_below, _exp, _expm1, _log, _log1p, _logistic, _normal, _silu_slope, _tanh, _twice_inner"
OPERATIONS = {**{name: ("", value) for name, value in _ONE_LINE.items()}, **_TWO_LINES}
COSTS = {  # of operations that cost more than 1
    "exp": 10, "expm1": 12, "sigmoid": 12, "silu": 12, "silu_dx": 14, "gelu": 12, "gelu_dx": 20, "gelu_tanh": 15,
    "gelu_tanh_dx": 20, "sqrt": 4, "rsqrt": 6, "log": 15, "log1p": 18, "tanh": 15, "div": 4,
    "reciprocal": 4}
BOOLEAN = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "and", "or"}


class Chain(NamedTuple):
    """What one kernel computes, element by element.

    `operands` says how each is indexed: "full" as the results are, "row" by the last axes alone, "column" by the
    first axes alone, "scalar" not at all; "bits" hold one for each element, eight a byte. `lines` are (operation,
    references): a reference "x2" is the third operand, "t0" the first line. `results` are the lines that are written,
    each to an array of its own or (`into`) over a full operand.
    """

    dtype: str
    operands: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    results: tuple[int, ...]
    into: tuple[int | None, ...]

    def text(self) -> str:
        """The module."""
        arrays = [f"x{i}" for i in range(len(self.operands))]
        fresh = [f"y{i}" for i, at in enumerate(self.into) if at is None]
        targets = [f"y{i}" if at is None else f"x{at}" for i, at in enumerate(self.into)]
        body = []
        for n, (name, references) in enumerate(self.lines):
            before, value = OPERATIONS[name]
            if before:
                body.append("    " + before.format(*references, n=n))
            body.append(f"    t{n} = {value.format(*references, n=n)}")
        results = ", ".join(f"t{n}" for n in self.results)
        names = {kind: [f"x{i}" for i, k in enumerate(self.operands) if k == kind] for kind in set(self.operands)}
        full, columns = [*names.get("full", ()), *fresh], names.get("column", [])
        bits = names.get("bits", [])
        flat = [f"    {name} = {name}.reshape({name}.size)" for name in [*arrays, *fresh]
                if name not in [*names.get("scalar", ()), *bits]]
        flat += [f"    {name} = unpacked({name}, part * size * n // 8, min(size, rows - part * size) * n)"
                 for name in bits]
        index = {"full": "{0}[i]", "row": "{0}[i]", "column": "{0}_", "scalar": "{0}", "bits": "{0}[i]"}
        given = ", ".join(index[kind].format(name) for name, kind in zip(arrays, self.operands))
        if "row" in names or columns:  # slices, so that the compiler knows i to be no negative index
            loop = ["    for r in range(part * size, min((part + 1) * size, rows)):",
                    *(f"        {name}_ = {name}[r]" for name in columns),
                    *(f"        {name}_ = {name}[r * n:(r + 1) * n]" for name in full),
                    *(f"        {name}_ = {name}[(r - part * size) * n:(r - part * size + 1) * n]" for name in bits),
                    "        for i in range(n):"]
            given = ", ".join(f"{name}_[i]" if kind in ("full", "bits") else index[kind].format(name)
                              for name, kind in zip(arrays, self.operands))
            store = ", ".join(f"{name}_[i]" for name in targets)
            loop.append(f"            {store} = element({given})")
        else:
            store = ", ".join(f"{name}[i]" for name in targets)
            loop = [*(f"    {name} = {name}[part * size:(part + 1) * size]" for name in full),
                    f"    for i in range({full[0]}.size):", f"        {store} = element({given})"]
        return "\n".join([
            '"""One pass over memory, written by minitorch_kernels.fused."""',
            "import numpy as np",
            "from numpy import sqrt",
            "from minitorch_kernels.cpu.jit import exactly, jit",
            f"from minitorch_kernels.cpu.smooth import {_HELPERS}",
            "from minitorch_kernels.cpu.tasks import task",
            f"ZERO, ONE = np.{self.dtype}(0), np.{self.dtype}(1)",
            "@exactly", f"def element({', '.join(arrays)}):", *body, f"    return {results}",
            *(_UNPACKED if bits else ()),
            "@task", f"def kernel(part, size, n, rows, {', '.join([*arrays, *fresh])}):", *flat, *loop, ""])

    def cost(self) -> int:
        """Operations an element takes, about."""
        return len(self.operands) + len(self.results) + sum(COSTS.get(name, 1) for name, _ in self.lines)


def build(chain: Chain) -> Callable:
    """The chain's kernel: called with (parts, work, size, n, rows, *operands, *fresh results).

    It runs `size` of the `rows` a part, a multiple of 8. A row has n elements where there are row or column
    operands, else one.
    """
    text = chain.text()
    if text not in _built:
        _built[text] = _compiled(text)
    return _built[text]


_UNPACKED = """@jit
def unpacked(bits, first, count):
    flags = np.empty(-(-count // 8) * 8, np.uint8)
    for i in range(flags.size // 8):
        byte = bits[first + i]
        for j in range(8):
            flags[8 * i + j] = byte >> j & 1
    return flags""".splitlines()


def _compiled(text: str) -> Callable:
    from .cpu import elementwise, smooth  # here: they import Numba

    helpers = b"".join([Path(str(module.__file__)).read_bytes() for module in (elementwise, smooth)])
    name = "fused_" + hashlib.sha256(text.encode() + helpers).hexdigest()[:24]
    path = keeping.folder() / "fused" / f"{name}.py"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(text, "utf-8")
            draft.replace(path)  # another process sees the whole file or none
        filename = str(path)
    except OSError:  # nowhere to write: compiled anew in each process
        filename = "<minitorch fused>"
    module = ModuleType(name)
    module.__file__ = filename
    sys.modules[name] = module  # where Numba looks when it loads what it has compiled
    exec(compile(text, filename, "exec"), vars(module))
    return module.kernel


_built: dict[str, Callable] = {}
