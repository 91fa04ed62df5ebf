"""Recording: one eager run, in which every array that a tensor holds writes down what is done with it.

While a `Recorder` is active, `Tensor._array` is a property that hands out `Traced` arrays, NumPy arrays that carry the
name of their place (a `Slot`) in the recording. NumPy's functions, operators and methods of them, and the kernels of
the table, which are wrapped too, compute as ever and add a `Step` to the list. So ops, gradient functions and the
engine need not know of it, and outside of a recording nothing is slower. What would let a value decide over the
program (`bool`, `item`, ...) is noticed: then there is a `reason` why the recording may not be used.
"""
from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from minitorch_kernels import table
from numpy.lib.array_utils import byte_bounds

from ..device import ARRAYS, cpu_kernels
from ..engine import Node, Output, mode
from ..tensor import Tensor
from .arrays import Number, Slot, Step, Traced, plain, root_of

_CREATING = {"zeros", "ones", "empty", "full", "arange", "eye", "identity", "linspace", "tri", "zeros_like",
             "ones_like", "empty_like", "full_like", "indices", "logspace"}
# functions whose callers get a tensor's values: (end of the file's name, the function's)
READERS = {"convert.py": {"item", "tolist", "numpy", "__array__", "__float__", "__int__", "__complex__", "__index__",
                          "_scalar"},
           "printing.py": None, "checkpoint.py": None, "metrics.py": None}


class Recorder:
    """What one run does, as `steps`. As a context manager it makes this thread record; one records at a time."""

    def __init__(self, args: list[Tensor], strict: bool = False):
        self.args, self.strict = args, strict
        self.steps: list[Step] = []
        self.reason: str | None = None
        self.paused = False
        self.on_gpu = False  # whether there is a tensor on a GPU: then graphed.py captures later calls
        self.backward_ran = False  # by the program
        self.differentiating = False  # by the recorder
        self.constants: list[Slot] = []
        self.tensors: dict[int, tuple[Tensor, Any]] = {}  # from outside: id -> (tensor, its traced array)
        self.first_grads: dict[int, tuple[Tensor, bool | None]] = {}  # whether `grad` was there at its first use
        self.made: list[weakref.ref] = []
        self._copied: set[Slot] = set()
        self._slots = 0
        self._storages = 0
        self._roots: dict[int, tuple[weakref.ref, int]] = {}

    def refuse(self, reason: str) -> None:
        """Remember why this recording may not be used; with fullgraph=True raise it."""
        if self.reason is None:
            self.reason = reason
            if self.strict:
                from . import Unsupported

                raise Unsupported(reason)

    # Steps

    def apply(self, kind: str, name: str, function: Any, args: tuple, kwargs: dict, writes: tuple = ()) -> Any:
        """Run a function on the arrays, and write it down."""
        written = [self.traced(x) for x in writes if isinstance(x, np.ndarray)]
        for slot in self.constants if written else ():
            if slot.storage in [x.slot.storage for x in written] and slot not in self._copied:
                slot.source = slot.source.copy()  # as it was before it was written to
                self._copied.add(slot)
        with aside(self):
            result = _CALLS.get(kind, _call)(function, plain(args), plain(kwargs))
        if kind == "kernel":  # one that returns an argument has written into it
            written = [x for x in args if type(x) is Traced and x.plain is result]
        step = Step(kind, name, function, self._slotted(args), self._slotted(kwargs),
                    writes=tuple(x.slot for x in written))
        self.steps.append(step)
        if written:
            return written[0] if kind in ("ufunc", "call", "kernel") and result is not None else None
        wrapped, step.out = self._wrapped(result, name)
        return wrapped

    def kernel(self, name: str, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Run a kernel of the table, which sees plain arrays, and write it down."""
        if name == "shares_memory":
            return function(*plain(args), **plain(kwargs))
        if name.endswith(("_step", "_steps")):
            self.refuse(f"the kernel {name} writes into its arguments")
        return self.apply("kernel", name, _chosen(name, plain(args), plain(kwargs)), args, kwargs)

    def draw(self, generator: Any, name: str, args: tuple, kwargs: dict) -> Any:
        """Random numbers: a replay draws the next ones from the same generator."""
        return self.apply("draw", name, _Draw(generator, name), args, kwargs)

    def source(self, generator: Any) -> Any:
        """Where random numbers come from: `generator`'s own source, or one that writes down what is drawn."""
        return generator.source if self.paused else Source(self, generator)

    def check(self, function: Callable, args: tuple, kwargs: dict) -> None:
        """A function that raises where values are wrong, and does nothing else: a replay checks too."""
        self.apply("check", function.__name__, function, args, kwargs)

    def whole(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Run a function of real tensors, which a replay will call as it is: it changes their state."""
        args = tuple(list(a) if hasattr(a, "__next__") else a for a in args)
        for x in _leaves([args, kwargs]):
            if callable(x) or self._is_made(x):
                self.refuse(f"{function.__qualname__} takes a function or a tensor that is computed in here")
        with aside(self):
            result = function(*args, **kwargs)
        step = Step("whole", function.__qualname__, function, args, kwargs)
        self.steps.append(step)
        if isinstance(result, Tensor):
            traced = result.__dict__["_array"] = self.adopt(result.__dict__["_array"], "step", None)
            self.made.append(weakref.ref(result))
            step.out = traced.slot
        elif result is not None:
            self.refuse(f"{function.__qualname__} returns a {type(result).__name__}")
        return result

    def _is_made(self, x: Any) -> bool:
        return isinstance(x, Tensor) and type(x.__dict__.get("_array")) is Traced

    # Arrays

    def traced(self, array: Any) -> Any:
        """`array` as this recording knows it; an unknown one is a constant."""
        if type(array) is Traced and "plain" in array.__dict__:
            return array
        return self.constant(np.asarray(array))

    def constant(self, array: np.ndarray) -> Traced:
        """An array that did not come from a tensor: index tables and the like."""
        if not any(slot.source is array for slot in self.constants):
            low, high = byte_bounds(array)
            for reference, _ in self._roots.values():
                root = reference()
                if root is not None and array.size and root.size:
                    first, last = byte_bounds(root)
                    if first < high and low < last:
                        self.refuse("an array shares memory with a tensor, in a way that is not recorded")
        traced = self.adopt(array, "constant", array)
        self.constants.append(traced.slot)
        return traced

    def adopt(self, array: np.ndarray, kind: str, source: Any) -> Traced:
        """A traced array on the memory of `array`, in a slot of its own."""
        root = root_of(array)
        known = self._roots.get(id(root))
        if known is None or known[0]() is not root:
            self._storages += 1
            known = self._roots[id(root)] = weakref.ref(root), self._storages
        traced = array.view(Traced)
        traced.plain = array
        traced.slot = Slot(self._slots, array, known[1], kind, source, array.nbytes == root.nbytes)
        self._slots += 1
        return traced

    def _slotted(self, value: Any) -> Any:
        """`value` with slots in the place of arrays."""
        kind = type(value)
        if kind is Number:
            return value.slot
        if isinstance(value, Tensor):
            return self._slotted(value._array)
        if kind is Traced or isinstance(value, np.ndarray):
            return self.traced(value).slot
        if isinstance(value, (tuple, list)):
            return kind(map(self._slotted, value)) if kind in (tuple, list) else tuple(map(self._slotted, value))
        if kind is dict:
            return {key: self._slotted(v) for key, v in value.items()}
        if kind is slice:
            return slice(*map(self._slotted, (value.start, value.stop, value.step)))
        return value

    def _wrapped(self, value: Any, name: str) -> tuple[Any, Any]:
        """A step's result with traced arrays for the program, and with slots for the step."""
        if isinstance(value, (np.ndarray, np.generic)):
            traced = self.adopt(np.asarray(value), "step", None)
            return traced, traced.slot
        if type(value) in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
            pairs = [self._wrapped(v, name) for v in value]
            made = [p[0] for p in pairs]
            return (type(value)(*made) if hasattr(value, "_fields") else type(value)(made)), [p[1] for p in pairs]
        if isinstance(value, (bool, int, float, complex)):
            number = Number(value, Slot(self._slots, _NOTHING, -1, "step", None, False))
            self._slots += 1
            return number, number.slot
        if value is not None:
            self.refuse(f"{name} returns a {type(value).__name__}")
        return value, None

    # The properties of tensors

    def read(self, t: Tensor, array: Any) -> Any:
        """The array of `t`, for the program."""
        if value := read_by(sys._getframe(2).f_code):
            self.refuse(value)
        if type(array) is Traced:
            return array
        if type(array) is not np.ndarray:
            if type(array) in ARRAYS:
                self.on_gpu = True
            else:
                self.refuse("not all tensors are on the CPU")
            return array
        return self._external(t, array, "tensor", t)

    def _external(self, t: Tensor, array: np.ndarray, kind: str, source: Tensor) -> Traced:
        found = self.tensors.get(id(t))
        if found is not None:
            return found[1]
        if t._hooks or t._after_accumulate:
            self.refuse("a tensor has hooks")
        if t._base is not None and t._base._requires_grad:
            self.refuse("a view from outside needs a gradient")
        traced = self.adopt(array, kind, source)
        self.tensors[id(t)] = t, traced
        return traced

    def store(self, t: Tensor, array: Any) -> Any:
        """What becomes the array of `t`."""
        before = t.__dict__.get("_array")
        if type(array) is Traced and "plain" not in array.__dict__:
            array = plain(array)
        if type(array) is Traced and array.plain is before:
            return before  # what `t._array += ...` ends with
        if before is not None and type(before) is not Traced:
            self.refuse("the memory of a tensor from outside is replaced")
        if type(array) is not Traced:
            if type(array) is not np.ndarray:
                return array
            array = self.constant(array)
        self.made.append(weakref.ref(t))
        return array

    def read_grad(self, t: Tensor) -> Tensor | None:
        grad = t.__dict__.get("_grad")
        if not self._is_made(t) and id(t) not in self.first_grads:
            self.first_grads[id(t)] = t, grad is None
            if grad is not None:
                self._external(grad, grad.__dict__["_array"], "grad", t)
        return grad

    def store_grad(self, t: Tensor, grad: Tensor | None) -> None:
        if self._is_made(t):
            return
        self.first_grads.setdefault(id(t), (t, None))  # set before it was read: whatever was there does not count
        if grad is None:
            self.steps.append(Step("grad", "grad", None, (t, None), {}))
            return
        if self.on_gpu:
            return
        if grad._requires_grad:
            self.refuse("a gradient needs a gradient")
        self.steps.append(Step("grad", "grad", None, (t, grad._array.slot), {}))

    def on_backward(self, keep: bool, lifted: bool) -> None:
        """The engine says that it runs."""
        if self.differentiating:
            return
        if keep or lifted:
            self.refuse("backward with create_graph" if lifted else "backward with retain_graph")
        self.backward_ran = True

    # Start and end

    def __enter__(self) -> Recorder:
        lock.acquire()
        self._modules = [module for name, module in list(sys.modules.items())
                         if name.startswith(_OPS) and getattr(module, "np", None) is np]
        for module in self._modules:
            module.np = _numpy  # type: ignore[attr-defined]
        mode.recorder = self
        Tensor._array = property(get_array, set_array)
        Tensor._grad = property(get_grad, set_grad)  # type: ignore[assignment]
        self._kernels = {name: value for name, value in vars(cpu_kernels).items() if name != "xp"}
        cpu_kernels.__class__ = _RecordingKernels
        cpu_kernels.xp = _numpy  # type: ignore[assignment]
        for name in self._kernels:
            delattr(cpu_kernels, name)
        return self

    def __exit__(self, *exception: Any) -> None:
        del Tensor._array
        Tensor._grad = None
        mode.recorder = None
        for module in self._modules:
            module.np = np  # type: ignore[attr-defined]
        bound = {name: value for name, value in vars(cpu_kernels).items() if name != "xp"}
        if any(not hasattr(value, "recording") for value in bound.values()):
            self.reason = self.reason or "another thread ran its first kernels at the same time"
        cpu_kernels.__class__ = table.Kernels
        cpu_kernels.xp = np
        for name in bound:
            delattr(cpu_kernels, name)
        vars(cpu_kernels).update(self._kernels)
        seen: set[int] = set()
        for reference in self.made:
            t = reference()
            if t is not None:
                if type(t.__dict__.get("_array")) is Traced:
                    t._array = t._array.plain
                _clean(t._node, seen)
        lock.release()


@contextmanager
def aside(recorder: Any) -> Iterator[None]:
    """What runs within is one step, whatever it does: unrecorded, and unwatched by the profiler."""
    paused, profile = recorder.paused, sys.getprofile()
    recorder.paused = True
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.setprofile(profile)
        recorder.paused = paused


def read_by(code: CodeType) -> str | None:
    """Why a recording cannot be used, if the function that asks for a tensor's array is one that looks at values."""
    names = READERS.get(code.co_filename.replace("\\", "/").rpartition("/")[2], ())
    return f"a tensor's value is read ({code.co_name.strip('_')})" if names is None or code.co_name in names else None


def _clean(node: Any, seen: set[int]) -> None:
    """Give the gradient functions of a graph the arrays themselves: it lives on without the recording."""
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, Output):
            node = node.node
        if isinstance(node, Node) and id(node) not in seen:
            seen.add(id(node))
            pending.extend(node.inputs)
            for function in node.functions():
                _clean_function(function)


def _clean_function(function: Any) -> None:
    for cell in getattr(function, "__closure__", None) or ():
        value = cell.cell_contents
        if isinstance(value, FunctionType):
            _clean_function(value)
        elif isinstance(value, (Traced, Number, tuple, list)):
            cell.cell_contents = plain(value)


def busy() -> bool:
    """Whether another thread is recording."""
    return lock.locked()


class _Draw:
    """A method of the random numbers' source: the default one is each thread's own."""

    def __init__(self, generator: Any, name: str):
        self.generator, self.name = generator, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.generator.source, self.name)(*args, **kwargs)


class Source:
    """Stands for a generator's source of random numbers while recording."""

    def __init__(self, recorder: Recorder, generator: Any):
        self._recorder, self._generator = recorder, generator

    def __getattr__(self, name: str) -> Callable:
        return lambda *args, **kwargs: self._recorder.draw(self._generator, name, args, kwargs)


class _RecordingKernels(table.Kernels):
    """The CPU's kernels while one thread records: other threads pass through."""

    def __getattr__(self, name: str) -> Callable:
        try:
            bound = table.get(name).bind(np)
        except ValueError as error:
            raise AttributeError(str(error)) from None

        def run(*args, **kwargs):
            recorder = mode.recorder
            if recorder is None or recorder.paused:
                return bound(*args, **kwargs)
            return recorder.kernel(name, bound, args, kwargs)

        run.recording = True  # type: ignore[attr-defined]
        setattr(self, name, run)
        return run


class _NumPy:
    """NumPy while recording: arrays that functions make from nothing, or pass through, stay traced."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return _creating(found) if name in _CREATING else found

    def asarray(self, x, dtype=None, *args, **kwargs):
        if type(x) is not Traced:
            return _creating(np.asarray)(x, dtype, *args, **kwargs) if mode.recorder else np.asarray(x, dtype)
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)

    def ascontiguousarray(self, x, dtype=None):
        x = self.asarray(x, dtype)
        return x if x.flags.c_contiguous else x.copy()


def _creating(function: Callable) -> Callable:
    def create(*args, **kwargs):
        recorder = mode.recorder
        if recorder is None or recorder.paused:
            return function(*args, **kwargs)
        if any(type(x) is Traced for x in (*args[function.__name__.endswith("_like"):], *kwargs.values())):
            return recorder.apply("call", function.__name__, function, args, kwargs)
        result = function(*plain(args), **plain(kwargs))
        if function in (np.empty, np.empty_like):
            result[...] = 0
        return recorder.constant(result) if isinstance(result, np.ndarray) else result

    return create


def _call(function: Callable, args: tuple, kwargs: dict) -> Any:
    return function(*args, **kwargs)


def _chosen(name: str, args: tuple, kwargs: dict) -> Callable:
    """The version of a kernel that takes these arguments, found once for all replays."""
    entry = table.get(name)
    for version in entry.versions:
        if version.device == "cpu" and not entry.forbids(version) and not version.missing() and \
                version.refuses(*args, **kwargs) is None:
            return version.load()
    return partial(entry.reference, np)


_CALLS: dict[str, Callable] = {
    "method": lambda name, args, kwargs: getattr(args[0], name)(*args[1:], **kwargs),
    "attribute": lambda name, args, kwargs: getattr(args[0], name),
}


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in _leaves(v)]
    return _leaves(list(value.values())) if isinstance(value, dict) else [value]


def get_array(t: Tensor) -> Any:
    try:
        array = t.__dict__["_array"]
    except KeyError:
        raise AttributeError("_array") from None
    recorder = mode.recorder
    if recorder is None:
        return array
    if recorder.paused:
        return array.plain if type(array) is Traced else array
    return recorder.read(t, array)


def set_array(t: Tensor, array: Any) -> None:
    recorder = mode.recorder
    t.__dict__["_array"] = array if recorder is None or recorder.paused else recorder.store(t, array)


def get_grad(t: Tensor) -> Tensor | None:
    recorder = mode.recorder
    return t.__dict__.get("_grad") if recorder is None or recorder.paused else recorder.read_grad(t)


def set_grad(t: Tensor, grad: Tensor | None) -> None:
    recorder = mode.recorder
    if recorder is not None and not recorder.paused:
        recorder.store_grad(t, grad)
    t.__dict__["_grad"] = grad


_NOTHING = np.empty(0)
_OPS = __name__.partition(".")[0] + ".ops."
lock = threading.Lock()
_numpy = _NumPy()
