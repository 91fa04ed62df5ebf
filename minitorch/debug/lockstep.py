"""Two backends in lock-step: every kernel call runs on both, with the same inputs, until their results part."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..device import kernels_of
from ..engine import Node, around_gradients, caller, note_source, noting
from ..nn.scopes import Scopes
from ..observing import around_ops, arrays_in
from .state import State
from .wording import numpy, op_name, place, values, wrapped

Choice = str | dict[str, str]
# Relative to an element's size and to its array's root mean square: some hundred roundings of a long sum.
TOLERANCES = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 1e-4, "float64": 1e-9, "complex64": 1e-4,
              "complex128": 1e-9}
WORSE = 8  # times nearer to float64 than the other must one backend be for the other to be wrong, not just rounded


def bisect(fn: Callable[[], Any], first: Choice = "numba", second: Choice = "reference", *,
           rtol: float | None = None) -> Bisection:
    """Run `fn()` on two backends at once, and find the first op, forward or backward, whose results part.

    `fn` may be a forward pass, a whole training step, anything. `first` and `second` are choices as `use` takes them:
    a name, or a dict such as {"matmul": "blocked"}; a first one that is a dict differs from the second in those kernels
    alone. Wherever they choose different versions of a kernel, both get the same inputs; the program goes on with the
    second's result, so rounding does not add up and what is found is at fault itself. `rtol` is the tolerance, by
    default a few hundred roundings of the type. Results further apart are compared with float64: if both are about as
    far from that, the sum is ill-conditioned, and neither is wrong.

    The result is false where they agree, else has `op`, `direction`, `kernel`, `versions`, `source`, `module`,
    `difference`, `index`, `arguments`. Models, optimizers, gradients and generators that `fn` reaches are put back.
    Raises what `fn` raises, TypeError for what is no function, ValueError for choices that do not exist, RuntimeError
    where kernels are watched already.

    >>> import minitorch as mt
    >>> x = mt.randn(4, 4, requires_grad=True)
    >>> bool(bisect(lambda: x.softmax(1).sum().backward(), "auto", "reference"))
    False
    """
    if not callable(fn):
        raise TypeError(f"bisect: fn expects a function without arguments, got {type(fn).__name__}")
    for choice in (first, second):
        if not isinstance(choice, (str, dict)):
            raise TypeError(f"bisect: expects a backend's name or a dict of versions by kernel, got {choice!r}")
        with chosen(choice):  # raises where there is no such
            pass
        if isinstance(choice, str) and choice in table.BACKENDS and find_spec(table.BACKENDS[choice]) is None:
            raise ImportError(f"bisect: {choice!r} needs {table.BACKENDS[choice]}, which is not installed")
    run = _Lockstep((first, second), rtol)
    with State(fn) as state, chosen(second):
        run.go(fn, Scopes(state.module_names()))
    return run.found


def chosen(choice: Choice) -> table.use:
    """The context manager for a choice; in a dict, "*" stands for all other kernels."""
    if isinstance(choice, str):
        return table.use(choice)
    return table.use(choice.get("*"), **{name: version for name, version in choice.items() if name != "*"})


class Bisection:
    """What `bisect` found: true where an op's results part, and printed as a report."""

    op = kernel = direction = source = module = reason = blame = ""
    versions: tuple[str, str] = ("", "")
    difference = tolerance = 0.0
    index: tuple[int, ...] = ()
    output = 0  # which of the kernel's results
    pair: tuple[Any, Any] = (None, None)  # the two values at `index`
    arguments: tuple = ()  # of the kernel, copied before it ran

    def __init__(self, choices: tuple[Choice, Choice]):
        self.choices = choices
        self.parted = False
        self.compared: Counter[str] = Counter()  # how often each kernel was run on both
        self.options: dict[str, Any] = {}
        self.calls = 0  # of kernels, those included that are the same for both
        self.nearest = (0.0, "")  # the largest difference that was tolerated, in tolerances, and whose it is
        self.rounding: list[str] = []  # what was further apart, but no nearer to float64 on either side

    def __bool__(self) -> bool:
        return self.parted

    def __repr__(self) -> str:
        a, b = map(_named, self.choices)
        if not self.parted:
            return wrapped("\n".join([f"{a} and {b} agree: {self._counted()}", *self._tolerated()]))
        lines = [f"{a} and {b} part in {op_name(self.op)}, {self.direction}: kernel {self.kernel}, "
                 f"{self.versions[0]} against {self.versions[1]}"]
        where = place(self.source, self.module)
        lines += [f"    {where}"] if where else []
        lines += [f"    {self.reason}"]
        lines += [f"    {self.blame}"] if self.blame else []
        params = table.get(self.kernel).reference.__code__.co_varnames[1:]  # type: ignore[attr-defined]
        named = [*zip([*params, *"?" * len(self.arguments)], self.arguments), *self.options.items()]
        lines += [f"    {name}: {values(array)}" for name, value in named for array in arrays_in(value)[:4]]
        return wrapped("\n".join([*lines, f"    before it: {self._counted()}"]))

    def _counted(self) -> str:
        if not self.calls:
            return "no kernel calls"
        if not self.compared:
            return f"{self.calls} kernel calls, all by the same versions: nothing to compare"
        shown = ", ".join(f"{name} {count}" for name, count in self.compared.most_common(6))
        more = f" and {len(self.compared) - 6} more" if len(self.compared) > 6 else ""
        return (f"{sum(self.compared.values())} of {self.calls} kernel calls run by different versions were compared "
                f"({shown}{more})")

    def _tolerated(self) -> list[str]:
        share, kernel = self.nearest
        lines = [f"    the largest difference is {share:.2g} of the tolerance, in {kernel}"] if kernel else []
        return lines + [f"    {line}" for line in self.rounding[:5]]


class _Parted(BaseException):
    """Ends the program's run; no `except Exception` of its own shall stop it."""


class _Lockstep:
    def __init__(self, choices: tuple[Choice, Choice], rtol: float | None):
        self.choices, self.rtol = choices, rtol
        self.found = Bisection(choices)
        self._versions: dict[tuple[str, str], tuple[list, list]] = {}
        self._where: list[tuple[str, str, Any]] = []  # the ops that run: name, direction, node
        self._modules: dict[int, str] = {}  # of nodes, by number
        self._inside = False

    def go(self, fn: Callable[[], Any], scopes: Scopes) -> None:
        with scopes as self._scopes, noting(note_source), noting(self._note), around_ops(self._forward), \
                around_gradients(self._backward), table.watch(self._observe), suppress(_Parted):
            fn()

    # Where the program is

    def _note(self, node: Node) -> None:
        if self._scopes.path:
            self._modules[node.number] = self._scopes.path

    def _forward(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        self._where.append((op.name, "forward", None))
        try:
            return body(k, *arguments, **options)
        finally:
            self._where.pop()

    def _backward(self, node: Node, function: Callable, i: int, arguments: tuple) -> Any:
        self._where.append((node.op.name, "backward", node))
        try:
            return function(*arguments)
        finally:
            self._where.pop()

    # Both

    def _observe(self, name: str, version: str, run: Callable, arguments: tuple, options: dict) -> Any:
        if self._inside:
            return run(*arguments, **options)
        self.found.calls += 1
        first, second = self._pair(name, arguments, options)
        if first.name == second.name:
            return run(*arguments, **options)
        self.found.compared[name] += 1
        given, copied = _copied((arguments, options)), _copied((arguments, options))
        self._inside = True
        try:
            try:
                other = first.run(*copied[0], **copied[1])
            except Exception as error:
                self._part(name, first, second, given, f"{first.name} raises {type(error).__name__}: {error}")
            result = second.run(*arguments, **options)
            self._compare(name, first, second, given, (other, *copied), (result, arguments, options))
        finally:
            self._inside = False
        return result

    def _pair(self, name: str, arguments: tuple, options: dict) -> tuple[Any, Any]:
        """The versions that the two choices give for a call."""
        xp = _module_of(arguments, options)
        device = "cpu" if xp is np else "cuda"
        if (name, device) not in self._versions:
            entry, lists = table.get(name), []
            for choice in self.choices:
                with chosen(choice):
                    lists.append([v for v in entry.versions
                                  if v.device == device and not entry.forbids(v) and not v.missing()])
            self._versions[name, device] = lists[0], lists[1]
        pair = [next((v for v in versions if v.refuses(*arguments, **options) is None), _Reference(name, xp))
                for versions in self._versions[name, device]]
        return pair[0], pair[1]

    def _compare(self, name: str, first: Any, second: Any, given: tuple, theirs: Any, ours: Any) -> None:
        for i, (a, b) in enumerate(_pairs(theirs, ours)):
            apart = _Apart(a, b, self.rtol)
            if apart.share > 1:
                blame = self._blame(name, first, second, given, i, a, b)
                if blame is None:
                    self.found.rounding.append(
                        f"{name} differs by {apart.difference:.3g}, but {first.name} and {second.name} are as near to "
                        "float64: an ill-conditioned sum, no fault")
                    continue
                self.found.blame, self.found.output = blame, i
                self.found.index, self.found.pair = apart.index, apart.pair
                self.found.difference, self.found.tolerance = apart.difference, apart.limit
                self._part(name, first, second, given, apart.reason(first.name, second.name))
            self.found.nearest = max(self.found.nearest, (apart.share, name))

    def _blame(self, name: str, first: Any, second: Any, given: tuple, place: int, a: Any, b: Any) -> str | None:
        """Which of the two is wrong, by the reference in float64; "" where that cannot tell, None for neither."""
        if a.shape != b.shape or a.dtype != b.dtype or a.dtype.name not in ("float16", "bfloat16", "float32"):
            return ""
        try:
            arguments, options = _copied(given, np.float64)
            exact = _Reference(name, _module_of(*given)).run(*arguments, **options)
            truth = next(t for i, (t, _) in enumerate(_pairs((exact, arguments, options), (exact, arguments, options)))
                         if i == place)
            truth = numpy(truth)
            with np.errstate(all="ignore"):
                off = [float(np.nanmax(np.abs(numpy(x).astype(np.float64) - truth))) for x in (a, b)]
            same = [bool((np.isfinite(numpy(x)) == np.isfinite(truth)).all()) for x in (a, b)]
        except Exception:  # a reference that does not take other types
            return ""
        if all(same) and off[0] <= WORSE * off[1] and off[1] <= WORSE * off[0]:
            return None
        wrong = int(off[1] > off[0]) if all(same) else int(same[0])
        names = first.name, second.name
        return (f"compared with float64, {names[wrong]} is wrong: off by {off[wrong]:.3g}, "
                f"{names[1 - wrong]} by {off[1 - wrong]:.3g}")

    def _part(self, name: str, first: Any, second: Any, given: tuple, reason: str) -> None:
        found = self.found
        found.calls, found.compared[name] = found.calls - 1, found.compared[name] - 1  # what came before
        found.compared += Counter()  # without those that are 0
        found.parted, found.kernel, found.versions, found.reason = True, name, (first.name, second.name), reason
        found.arguments, found.options = given
        found.op, found.direction, node = self._where[-1] if self._where else (name, "outside of ops", None)
        found.source = caller() if node is None else node.source or ""
        found.module = self._scopes.path if node is None else self._modules.get(node.number, "")
        raise _Parted


class _Reference:
    """A kernel's reference, as a version."""

    name = "reference"

    def __init__(self, kernel: str, xp: Any):
        self.run = partial(table.get(kernel).reference, xp)


class _Apart:
    """How far two arrays lie apart: `share` is the largest difference in tolerances, at `index`."""

    share = difference = limit = 0.0
    index: tuple[int, ...] = ()
    pair: tuple[Any, Any] = (None, None)

    def __init__(self, a: Any, b: Any, rtol: float | None):
        self.a, self.b = numpy(a), numpy(b)
        self.form = self.a.shape != self.b.shape or self.a.dtype != self.b.dtype
        if self.form:
            self.share = np.inf
        elif self.a.size and not (self.a.dtype == self.b.dtype and np.array_equal(self.a, self.b)):
            self._measure(rtol)

    def _measure(self, rtol: float | None) -> None:
        a, b = self.a, self.b
        tolerance = TOLERANCES.get(a.dtype.name, 0.0) if rtol is None or a.dtype.kind not in "fcV" else rtol
        kind: Any = np.complex128 if a.dtype.kind == "c" else np.float64
        with np.errstate(all="ignore"):
            x, y = a.astype(kind), b.astype(kind)
            good = np.isfinite(y)
            scale = float(np.sqrt(np.mean(np.abs(y[good]) ** 2))) if good.any() else 0.0
            limit = tolerance * (np.abs(y) + scale)
            off = np.abs(x - y)
            same = (x == y) | (np.isnan(x) & np.isnan(y))
            shares = np.where(same, 0.0, np.where(np.isfinite(off), off / np.maximum(limit, 1e-300), np.inf))
        place = np.unravel_index(int(np.argmax(shares)), a.shape)
        self.index = tuple(int(i) for i in place)
        self.share, self.difference, self.limit = float(shares[place]), float(off[place]), float(limit[place])
        self.pair = a[place], b[place]
        self.beyond = int((shares > 1).sum())

    def reason(self, first: str, second: str) -> str:
        if self.form:
            return (f"{first} gives {self.a.shape} {self.a.dtype}, {second} {self.b.shape} {self.b.dtype}")
        at = f" at {list(self.index)}" if self.index else ""
        limit = f", tolerance {self.limit:.3g}" if self.limit else ""
        return (f"largest difference {self.difference:.6g}{at} of {self.a.shape} {self.a.dtype}{limit}: "
                f"{first} gives {self.pair[0]:.8g}, {second} {self.pair[1]:.8g}; {self.beyond} of {self.a.size} "
                "elements differ")


def _module_of(arguments: tuple, options: dict) -> Any:
    """The array module of a call's arguments."""
    arrays = arrays_in([*arguments, *options.values()])
    return kernels_of(arrays[0]).xp if arrays else np


def _named(choice: Choice) -> str:
    return choice if isinstance(choice, str) else ", ".join(f"{name}={version!r}" for name, version in choice.items())


def _pairs(a: Any, b: Any) -> list[tuple[Any, Any]]:
    """The arrays that stand in the same places; where one side has none, as with hints, there is nothing to compare."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [pair for key in a if key in b and key != "memo" for pair in _pairs(a[key], b[key])]
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return [pair for x, y in zip(a, b) for pair in _pairs(x, y)]
    return [(a, b)] if hasattr(a, "dtype") and hasattr(b, "dtype") else []


def _copied(value: Any, wide: Any = None) -> Any:
    """A copy with arrays of its own, strides in the same order; `wide`: floating ones in that type."""
    if isinstance(value, dict):
        return {key: {} if key == "memo" else _copied(v, wide) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_copied(v, wide) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if not (hasattr(value, "dtype") and hasattr(value, "copy")):
        return value
    if wide is not None and value.dtype.kind in "fV":
        return value.astype(wide)
    return value.copy(order="K") if hasattr(value, "strides") and value.ndim else value.copy()
