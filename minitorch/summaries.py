"""`summary`: a table of a model's modules, with shapes, parameters, multiply-adds and memory."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from . import meta, op, random
from .device import device as device_type
from .engine import no_grad
from .nn.scopes import Scopes
from .observing import around_ops
from .op import OPS
from .profiler.arrays import arrays_in
from .profiler.tables import Column, Table, count, megabytes
from .tensor import Tensor

VIEWS = ("split", "unbind")  # ops whose results are views, and which are not declared so: they have several


def summary(model: Any, input: Any = None, *, input_size: Any = None, dtypes: Any = None, depth: int | None = 3,
            device: Any = None) -> Summary:
    """A table of the modules in `model`: shapes, parameters, multiply-adds and memory, each with all that it holds.

    `input` is a tensor, a tuple or list of arguments, or a dict of keyword arguments; or `input_size` is a shape, or a
    list of shapes, for zeros of `dtypes` (one, or a list; by default the type of the parameters). Without either only
    the parameters are counted. `depth` levels of modules are shown (None: all).

    The model runs in evaluation mode without gradients, where that works without values, on the device "meta", so that
    a large one takes no time, else for real. Afterwards it is as before: mode, parameters, buffers, gradients and the
    state of the random numbers; a lazy model stays lazy. Parameters that several modules share are counted once, with
    the first. Multiply-adds are those of products, convolutions, recurrent layers and attention (all pairs of
    positions, masked or not); memory is that of all results, as if none were let go.

    Raises ValueError where both `input` and `input_size` are given, and what the model raises for this input.

    >>> from minitorch import nn
    >>> found = summary(nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)), input_size=(64, 784))
    >>> found.parameters, found.multiply_adds, found.rows[1].output
    (25450, 1626112, '64×32')
    """
    if input is not None and input_size is not None:
        raise ValueError("summary: expects input or input_size, not both")
    model = getattr(model, "_orig_mod", model)  # of one that `compile` made
    if input is None and input_size is None:
        return Summary(model, {}, (), depth)
    given = _zeros(model, input_size, dtypes, device) if input is None else _arguments(input)
    args, kwargs = ((), given) if isinstance(given, dict) else (given, {})
    if args and all(isinstance(a, int) and not isinstance(a, bool) for a in args):
        raise TypeError(f"summary: input expects tensors, got numbers {(*args,)}: a shape is given as input_size=...")
    if _is_lazy(model):
        model = copy.deepcopy(model)
        runs = _run(model, args, kwargs)
    else:
        runs = _run_on_meta(model, args, kwargs) or _run(model, args, kwargs)
    return Summary(model, runs, [*args, *kwargs.values()], depth)


class Row:
    """A module: `name` in the model, `kind` its class; `input` and `output` are shapes as text, of its first call.

    `parameters` (of which `trainable`) counts those first met here or in its parts; `shared` those met before. Bytes:
    `parameter_bytes`, `activation_bytes`. `calls` is 0 for a module whose forward did not run.
    """

    def __init__(self, name: str, kind: str, level: int):
        self.name, self.kind, self.level = name, kind, level
        self.input = self.output = ""
        self.calls = self.parameters = self.trainable = self.shared = 0
        self.parameter_bytes = self.activation_bytes = self.multiply_adds = 0

    def __repr__(self) -> str:
        return f"<{self.name or 'model'}: {self.kind}, {self.input} -> {self.output}, {self.parameters} parameters>"


class Summary:
    """`rows`, a `Row` for each module, the model itself first, and the totals; it prints as a table."""

    def __init__(self, model: Any, runs: dict[str, _Run], inputs: Any, depth: int | None):
        self.rows = [Row(name, type(module).__name__, name.count(".") + 1 if name else 0)
                     for name, module in model.named_modules()]
        self.depth, self.ran = depth, bool(runs)
        self._count_parameters(model)
        for row in self.rows:
            if run := runs.get(row.name):
                row.input, row.output, row.calls = run.input, run.output, run.calls
                row.multiply_adds, row.activation_bytes = run.multiply_adds, run.nbytes
        self.input_bytes = sum(t._array.nbytes for t in _leaves(inputs))

    parameters = property(lambda self: self.rows[0].parameters)
    trainable = property(lambda self: self.rows[0].trainable)
    parameter_bytes = property(lambda self: self.rows[0].parameter_bytes)
    multiply_adds = property(lambda self: self.rows[0].multiply_adds)
    activation_bytes = property(lambda self: self.rows[0].activation_bytes)

    def _count_parameters(self, model: Any) -> None:
        met: set[int] = set()
        by_name = {row.name: row for row in self.rows}
        for name, module in model.named_modules():
            parts = name.split(".") if name else []
            holders = [by_name[prefix] for n in range(len(parts) + 1) if (prefix := ".".join(parts[:n])) in by_name]
            for p in module._parameters.values():
                if p is None or _is_uninitialized(p):
                    continue
                new = id(p) not in met
                met.add(id(p))
                for row in holders:
                    row.shared += p.numel() * (not new)
                    row.parameters += p.numel() * new
                    row.trainable += p.numel() * (new and p.requires_grad)
                    row.parameter_bytes += p._array.nbytes * new

    def __str__(self) -> str:
        shown = [row for row in self.rows if self.depth is None or row.level <= self.depth]
        frozen = self.parameters - self.trainable
        lines = [f"Parameters     {self.parameters:,}" + (f", {frozen:,} of them not trainable" if frozen else "")
                 + f" ({megabytes(self.parameter_bytes) or '0 B'})"]
        if self.ran:
            total = self.input_bytes + self.activation_bytes + self.parameter_bytes
            lines += [f"Multiply-adds  {count(self.multiply_adds) or '0'}",
                      f"Memory         {megabytes(total) or '0 B'}: input {megabytes(self.input_bytes) or '0 B'}, "
                      f"activations {megabytes(self.activation_bytes) or '0 B'}, "
                      f"parameters {megabytes(self.parameter_bytes) or '0 B'}"]
        return "\n".join([str(Table(shown, COLUMNS if self.ran else COLUMNS[::3][:2])), "-" * 100, *lines])

    __repr__ = __str__


class _Run:
    """What was seen of one module."""

    def __init__(self) -> None:
        self.input = self.output = ""
        self.calls = self.multiply_adds = self.nbytes = 0


class _Seen(Scopes):
    """Shapes of the modules' inputs and outputs."""

    def __init__(self, model: Any):
        super().__init__({module: name for name, module in model.named_modules()})
        self.runs: dict[str, _Run] = {}

    def entered(self, module: Any, inputs: tuple) -> None:
        run = self.runs.setdefault(self.path, _Run())
        run.calls += 1
        if run.calls == 1:
            run.input = _shapes(inputs)

    def left(self, module: Any, output: Any) -> None:
        run = self.runs[self.path]
        run.output = run.output or _shapes(output)


class _Counting(around_ops):
    """Adds up what ops do for the modules that run."""

    def __init__(self, seen: _Seen):
        super().__init__(self._op)
        self.seen, self.paused = seen, False

    def _op(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        result = body(k, *arguments, **options)
        if not self.paused:
            self.count(op.name, arguments, result, list(arrays_in(result)))
        return result

    def count(self, name: str, arrays: Any, result: Any, made: list) -> None:
        """Add an op's run to all modules around it. What may be a view takes no memory."""
        nbytes = 0 if OPS[name].view or name in VIEWS else sum([a.nbytes for a in made])
        macs = multiply_adds(name, arrays, result[0] if type(result) in (tuple, list) else result)
        for path in set(self.seen.open):
            self.seen.runs[path].multiply_adds += macs
            self.seen.runs[path].nbytes += nbytes

    def without_values(self, run: Callable) -> Callable:
        """`meta.run`, counted: an op runs there on other shapes than those that it stands for."""
        def counted(name, args, kwargs):
            if name not in OPS or self.paused:
                return run(name, args, kwargs)
            self.paused = True
            try:
                result = run(name, args, kwargs)
            finally:
                self.paused = False
            arrays = [getattr(x, "_array", x) for x in (*args, *kwargs.values())]
            made = [t._array for t in _leaves(result)]
            self.count(name, arrays, made, made)
            return result

        return counted


def multiply_adds(name: str, arrays: Sequence, y: Any) -> int:
    """The multiplications, each with an addition, that an op needs for the result `y`; 0 for what is no product."""
    shapes = [tuple(getattr(a, "shape", ())) for a in arrays]
    if name == "linear":
        return math.prod(shapes[0]) * math.prod(shapes[1][:-1])
    if name == "matmul":
        return math.prod(y.shape) * shapes[0][-1]
    if name == "contract":  # of einsum: each product of a pair that is summed up
        left, right, kept = arrays[2:5]
        sizes = {**dict(zip(left, shapes[0])), **{n: s for n, s in zip(right, shapes[1]) if s > 1}}
        return math.prod([sizes.get(n, 1) for n in {*left, *right, *kept}])
    if name in ("conv1d", "conv2d", "conv3d") or name.startswith("conv_transpose"):
        x, weight = shapes[:2]
        places = math.prod((y.shape if name[4] != "_" else x)[2 - len(weight):])
        return (x[0] if len(x) == len(weight) else 1) * places * math.prod(weight)
    if name == "attend":
        q, k, v = shapes[:3]
        return math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])
    if name == "recurrent":  # the products of its inputs are made before
        return math.prod(shapes[0][:-1]) * math.prod(shapes[3])
    return 0


def _run(model: Any, args: Any, kwargs: dict) -> dict[str, _Run]:
    """Run the model for real, and put everything back."""
    seen = _Seen(model)
    with ExitStack() as stack:
        stack.enter_context(_as_before(model))
        stack.enter_context(no_grad())
        stack.enter_context(seen)
        stack.enter_context(_Counting(seen))
        model(*args, **kwargs)
    return seen.runs


def _run_on_meta(model: Any, args: Any, kwargs: dict) -> dict[str, _Run] | None:
    """Run the model without values, if it can do without; then nothing but shapes is computed."""
    seen = _Seen(model)
    counting = _Counting(seen)
    with ExitStack() as stack:
        for context in (_as_before(model), no_grad(), device_type("meta"), seen, counting):
            stack.enter_context(context)
        stack.callback(op.look_closely, op.quickest is None)  # meta tensors have all ops look for good where inputs lie
        for t in {id(t): t for t in (*model.parameters(), *model.buffers())}.values():
            stack.callback(setattr, t, "_array", t._array)
            t._array = meta.meta_array(t._array.shape, t._array.dtype)
        stack.callback(setattr, meta, "run", meta.run)
        meta.run = counting.without_values(meta.run)
        try:
            model(*_each(args, _without_values), **_each(kwargs, _without_values))
        except Exception:  # values are looked at, or the model fails for this input: the real run will tell
            return None
    return seen.runs


@contextmanager
def _as_before(model: Any) -> Iterator[None]:
    """Evaluation mode for a while; then modes, buffers and random numbers are as they were."""
    modules = list(model.modules())
    modes, buffers = [m.training for m in modules], [dict(m._buffers) for m in modules]
    values = [(b, b._array) for held in buffers for b in held.values() if b is not None]
    state = random.get_rng_state()
    try:
        for m in modules:
            m.__dict__["training"] = False
        for b, array in values:
            if isinstance(array, np.ndarray):
                b._array = array.copy()
        yield
    finally:
        for m, training, held in zip(modules, modes, buffers):
            m.__dict__["training"] = training
            m._buffers.clear()
            m._buffers.update(held)
        for b, array in values:
            b._array = array
        random.set_rng_state(state)


def _zeros(model: Any, sizes: Any, dtypes: Any, device: Any) -> tuple:
    from .ops.creation import zeros

    several = bool(sizes) and not isinstance(sizes[0], int)
    sizes = list(sizes) if several else [sizes]
    kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    kinds = list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes or kind] * len(sizes)
    if len(kinds) != len(sizes):
        raise ValueError(f"summary: expects a dtype for each of {len(sizes)} shapes, got {len(kinds)}")
    return tuple([zeros(*size, dtype=dtype, device=device) for size, dtype in zip(sizes, kinds)])


def _arguments(input: Any) -> Any:
    """The arguments: a tuple, or a dict of those with names."""
    if isinstance(input, Mapping):
        return dict(input)
    return tuple(input) if isinstance(input, (tuple, list)) else (input,)


def _without_values(x: Any) -> Any:
    return Tensor._wrap(meta.meta_array(x._array.shape, x._array.dtype)) if isinstance(x, Tensor) else x


def _each(value: Any, function: Callable) -> Any:
    """`function` of everything in tuples, lists and dicts."""
    if isinstance(value, dict):
        return {key: _each(v, function) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_each(v, function) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(value)


def _leaves(value: Any) -> Iterator[Tensor]:
    """The tensors in tuples, lists, dicts and objects that hold some."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _leaves(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _leaves(part)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _leaves(list(vars(value).values()))


def _shapes(value: Any) -> str:
    return ", ".join("×".join(map(str, t._array.shape)) or "()" for t in _leaves(value))


def _is_uninitialized(p: Any) -> bool:
    from .nn.lazy import UninitializedParameter

    return isinstance(p, UninitializedParameter)


def _is_lazy(model: Any) -> bool:
    return any(map(_is_uninitialized, model.parameters()))


def _parameters(row: Row) -> str:
    return f"{row.parameters:,}" if row.parameters else "shared" if row.shared else ""


def _output(row: Row) -> str:
    return row.output if row.calls else "not called" if not row.kind.endswith(("List", "Dict")) else ""


COLUMNS = [
    Column("module", 34, lambda row: "  " * row.level + row.name.rpartition(".")[2] + " " * bool(row.name) + row.kind +
           (f" ×{row.calls}" if row.calls > 1 else ""), left=True),
    Column("input", 16, lambda row: row.input, left=True), Column("output", 0, _output, left=True),
    Column("parameters", 12, _parameters), Column("mult-adds", 10, lambda row: count(row.multiply_adds)),
    Column("memory", 9, lambda row: megabytes(row.activation_bytes))]
