"""CUDA graphs: work that is recorded once and launched as one, by hand as in PyTorch; `compile` uses them too."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..device import cuda_used, cupy, gpus
from ..engine import mode
from ..tensor import Tensor
from .memory import Pool
from .streams import Stream, StreamContext


class CUDAGraph:
    """Work on the GPU, recorded between `capture_begin` and `capture_end`, that `replay` launches as one.

    What is recorded does not run. A replay works with the memory that the recording worked with: copy new inputs into
    the old ones before it, and take what you want to keep of the results before the next. Random numbers are others at
    each replay, and optimizers count their steps and read their learning rates anew.
    """

    def __init__(self, keep_graph: bool = False):
        cupy()
        self.before: list[Callable[[], Any]] = []  # what a replay does first, on the CPU
        self._graph: Any = None
        self._pool: Any = None
        self._kept: list[Any] = []
        self.capture: Capture

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """Record what the current stream is given from now on. `pool` is another graph's `pool()`, or None.

        Raises RuntimeError on the default stream, or while this thread records already.
        """
        if capture_error_mode not in ("global", "thread_local", "relaxed"):
            raise RuntimeError("Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, got "
                               f"{capture_error_mode}")
        cp = cupy()
        stream = cp.cuda.get_current_stream()
        if stream.ptr in (0, 1, 2):
            raise RuntimeError("CUDA graphs must be captured on a non-default stream. (However, after capture, it's ok "
                               "to replay them on the default stream.)")
        if self._graph is not None:
            raise RuntimeError("This CUDAGraph instance already owns a captured graph. To capture a new graph, create "
                               "a new instance.")
        if gpus.capturing is not None:
            raise RuntimeError("capture_begin: this process records a graph already")
        self._pool = pool if isinstance(pool, Pool) else Pool()
        self.capture = Capture(self, cp, stream)
        self.capture.begin()

    def capture_end(self) -> None:
        """Stop recording. Raises RuntimeError where something was done that cannot be recorded."""
        self._graph = self.capture.end()

    def abandon(self) -> None:
        """Stop recording, whatever state that is in, and forget it."""
        with suppress(Exception):
            self.capture.end()

    def replay(self) -> None:
        """Run the recorded work on the current stream. Raises RuntimeError before `capture_end`."""
        if self._graph is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        for prepare in self.before:
            prepare()
        self._graph.launch()

    def launch(self) -> None:
        """Run the recorded work as it is, without what a replay does before."""
        self._graph.launch()

    def reset(self) -> None:
        """Forget what was recorded, and let its memory go."""
        self._graph = self._pool = None
        self.before, self._kept = [], []

    def pool(self) -> Pool:
        """Where its memory comes from, for graphs that share it: they must run in the order of their recording."""
        if self._pool is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding successful capture.")
        return self._pool

    def instantiate(self) -> None:
        """Nothing: `capture_end` does it."""

    def enable_debug_mode(self) -> None:
        """Nothing: `debug_dump` works without it."""

    def debug_dump(self, debug_path: str) -> None:
        """Write the graph to a file, in the language of Graphviz."""
        with open(debug_path, "w", encoding="utf-8") as file:
            file.write(self._graph.debug_dot_str())


def graph_pool_handle() -> Pool:
    """Memory for several graphs, `capture_begin(pool=...)`."""
    return Pool()


class graph:
    """Within `with graph(g):` work is recorded into the CUDAGraph `g`, on `stream` or one of its own."""

    def __init__(self, cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None,
                 capture_error_mode: str = "global"):
        self.graph, self.options = cuda_graph, (pool, capture_error_mode)
        self.stream = StreamContext(capture_stream() if stream is None else stream)

    def __enter__(self) -> None:
        cupy().cuda.Device().synchronize()
        self.stream.__enter__()
        try:
            self.graph.capture_begin(*self.options)
        except BaseException:
            self.stream.__exit__(None, None, None)
            raise

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.graph.capture_end() if kind is None else self.graph.abandon()
        finally:
            self.stream.__exit__(kind, error, trace)


def capture_stream() -> Stream:
    """The stream of the current GPU that graphs are recorded on: one, since libraries keep memory for each."""
    number = cupy().cuda.runtime.getDevice()
    if number not in _streams:
        _streams[number] = Stream(number)
    return _streams[number]


_streams: dict[int, Stream] = {}


def make_graphed_callables(callables: Any, sample_args: Any, num_warmup_iters: int = 3,
                           allow_unused_input: bool = False, pool: Any = None) -> Any:
    """Functions or Modules, one or a tuple of them, whose calls launch graphs, forward and backward.

    They are those of `compile`, which captures them for the samples now: for other forms of arguments, and where a
    graph would be wrong, they capture anew or run eagerly. Raises `capture.Unsupported` for what no graph can hold.
    """
    from ..capture import Unsupported, compile

    several = isinstance(callables, (tuple, list))
    made = [compile(f, fullgraph=True) for f in (callables if several else (callables,))]
    if len(made) != len(sample_args if several else (sample_args,)):
        raise ValueError(f"make_graphed_callables: {len(made)} callables need as many tuples of sample_args, "
                         f"got {len(sample_args)}")
    for f, arguments in zip(made, sample_args if several else (sample_args,)):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        for _ in range(2):
            f(*arguments)
        if not getattr(f, "compiled", f).recordings:
            raise Unsupported("; ".join(getattr(f, "compiled", f).reasons))
    return tuple(made) if several else made[0]


class Capture:
    """What the framework meets in `mode.recorder` while a graph is recorded.

    Arrays come out of the graph's pool. What the CPU does for the GPU's work at each run, a generator's next numbers
    and an optimizer's step count, goes into `graph.before`. Values from the CPU are constants of the graph.
    """

    paused = False

    def __init__(self, graph: CUDAGraph, cp: Any, stream: Any):
        self.graph, self.cp, self.stream = graph, cp, stream
        self._left, self._thread = ExitStack(), threading.get_ident()
        self._generators: set[int] = set()

    def begin(self) -> None:
        self._allocator = self.cp.cuda.get_allocator()
        self._left.enter_context(self.cp.cuda.using_allocator(self.graph._pool.allocate))
        self._before, mode.recorder, gpus.capturing = mode.recorder, self._before_or_self(), self
        self.graph._kept.append(self._left.enter_context(recorded_step()))  # what kernels outside of steps read
        self.stream.begin_capture(self.cp.cuda.runtime.streamCaptureModeRelaxed)

    def end(self) -> Any:
        """The recorded graph. Raises RuntimeError where there is none."""
        mode.recorder, gpus.capturing = self._before, None
        try:
            graph = self.stream.end_capture()
        except Exception as error:
            raise RuntimeError(f"CUDA graph: what was done cannot be recorded: {error}") from error
        finally:
            self._left.close()
        return graph

    def is_here(self) -> bool:
        """Whether it is this thread whose work is recorded."""
        return self._thread == threading.get_ident()

    def _before_or_self(self) -> Any:
        return self if mode.recorder is None else mode.recorder

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within the block work is done at once, and not recorded. Its memory is not the graph's, which may have given
        what is free now to work before this place."""
        stream = self.cp.cuda.Stream(non_blocking=True)
        with stream, self.cp.cuda.using_allocator(self._allocator):
            yield
        stream.synchronize()

    def copied(self, cp: Any, array: Any) -> Any:
        """An array of the CPU on the GPU: a constant of the graph."""
        with self.aside():
            y = cp.asarray(array, order="C")
        self.graph._kept.append(y)
        if mode.recorder is not self:
            mode.recorder.uploaded(array, y)
        return y

    # What the framework asks a recorder

    def source(self, generator: Any) -> Any:
        """Where random numbers come from. Raises RuntimeError for those that are drawn on the CPU."""
        source = generator.source
        if not hasattr(source, "capturing"):
            raise RuntimeError("CUDA graph: random numbers are drawn on the CPU, the same for all replays: give the "
                               "GPU's generator")
        if id(source) not in self._generators:
            self._generators.add(id(source))
            with self.aside():
                replays = self._left.enter_context(source.capturing())
            self.graph.before.append(replays.prepare)
        return source

    def whole(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """A function of real objects: an optimizer's step prepares each replay, others run now alone."""
        if not args or not hasattr(args[0], "param_groups"):
            return function(*args, **kwargs)
        counts = [value._array for state in args[0].state.values() for value in state.values()
                  if isinstance(value, Tensor) and isinstance(value._array, np.ndarray)]
        before = [array.copy() for array in counts]
        with recorded_step() as tables, kernels_that_run() as kernels:
            result = function(*args, **kwargs)
        for array, values in zip(counts, before):
            array[...] = values  # no step was taken: each replay will count its own
        if not capturable(kernels):
            raise RuntimeError(f"CUDA graph: a step of {type(args[0]).__name__} cannot be recorded: its kernels take "
                               "the step's numbers from the CPU")
        self.graph.before.append(partial(prepare_step, tables, function, args, kwargs))
        return result

    def check(self, function: Callable, args: tuple, kwargs: dict) -> None:
        """Values cannot be looked at here."""

    def on_backward(self, keep: bool, lifted: bool) -> None:
        """The engine runs as ever."""

    def refuse(self, reason: str) -> None:
        """What `compile` does not replay can be recorded here."""


@contextmanager
def recorded_step() -> Iterator[list[Any]]:
    """Within the block, which captures an optimizer's step: the tables that its kernels read, for `prepare_step`."""
    from minitorch_kernels.cuda import optim

    with optim.recording() as tables:
        yield tables


def prepare_step(tables: list[Any], function: Callable, args: tuple, kwargs: dict) -> None:
    """Run an optimizer's step for what it does on the CPU: its kernels are in the graph, and read these tables."""
    from minitorch_kernels.cuda import optim

    with optim.replaying(tables):
        function(*args, **kwargs)


@contextmanager
def kernels_that_run() -> Iterator[set[tuple[str, str]]]:
    """Within the block: the kernels that are called, with the versions that run."""
    found: set[tuple[str, str]] = set()

    def note(name, version, run, arguments, options):
        found.add((name, version))
        return run(*arguments, **options)

    with table.watch(note):
        yield found


def capturable(kernels: set[tuple[str, str]]) -> bool:
    """Whether an optimizer's step that called these can be part of a graph: each must read its numbers on the GPU."""
    return bool(kernels) and all(version == "cuda" for _, version in kernels)


def is_current_stream_capturing() -> bool:
    """Whether the current stream records a graph."""
    return gpus.capturing is not None and cuda_used() and cupy().cuda.get_current_stream().is_capturing()


__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing", "make_graphed_callables"]
