"""Random numbers on the GPU by Philox (random.cu): a generator that is a seed and an offset.

The numbers are those that PyTorch's CUDA generator draws from the same seed by the same calls, on a GPU that holds as
many threads: bit for bit for uniform numbers, integers, `bernoulli` and dropout, and but for the last bits for normal
and exponential ones. Those of `randperm`, and of what is drawn on the CPU here (cauchy, multinomial, Poisson, ...),
are others.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from .. import random as on_cpu
from ..rounding import work_dtype
from .build import FLOATS, Program, ctype
from .lazily import cupy

DEFAULT_SEED = on_cpu.DEFAULT_SEED
THREADS = 256  # a block
NUMBERS = ("Uniform", "Normal", "Exponential", "Bernoulli")
WORDS = ("unsigned", "u64")
program = Program("random.cu", {"numbers": (NUMBERS, (*FLOATS, "bool")), "integers": (WORDS, ("int", "long long")),
                                "bernoulli_each": ((*FLOATS, "bool"),), "dropout": (FLOATS, (1, 2, 4, 8)), "put": ()})


class Philox:
    """A source of random arrays on the current GPU, with the methods of `minitorch_kernels.random.Generator`.

    `seed` and `offset` say where it stands; `offset` counts the words that each thread has drawn.
    """

    def __init__(self, seed: int = DEFAULT_SEED):
        self._lock = threading.Lock()
        self._place: Any = None  # while a graph is captured: where its kernels will read seed and offset
        self.manual_seed(seed)

    # Seeds and states

    def manual_seed(self, seed: int) -> Philox:
        """Start again from `seed`, -2^63 to 2^64 - 1; returns the generator."""
        with self._lock:
            self._seed, self._offset = seed % 2**64, 0
        return self

    def seed(self) -> int:
        """Start again from a seed of the operating system's entropy, and return that seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the generator last started from."""
        return self._seed

    def get_state(self) -> np.ndarray:
        """Seed and offset as 16 bytes (uint8), as PyTorch's CUDA generator has them."""
        with self._lock:
            return np.array([self._seed, self._offset], np.uint64).view(np.uint8)

    def set_state(self, state: np.ndarray) -> Philox:
        """Continue from what `get_state` gave. Raises TypeError or RuntimeError for anything else."""
        if state.dtype != np.uint8:
            raise TypeError(f"set_state: state expects bytes (uint8), got {state.dtype}")
        if state.shape not in ((8,), (16,)):
            raise RuntimeError(f"set_state: RNG state is wrong size: expected 16 bytes, got shape {state.shape}")
        found = np.ascontiguousarray(state).view(np.uint64).tolist()
        with self._lock:
            self._seed, self._offset = found[0], found[1] if len(found) > 1 else 0
        return self

    def clone(self) -> Philox:
        """A second generator in the same state."""
        return Philox().set_state(self.get_state())

    def __reduce__(self) -> tuple:
        return _restored, (self.get_state(),)

    # Captured graphs

    @contextmanager
    def capturing(self) -> Iterator[Replays]:
        """Within the block kernels are made to read seed and offset from device memory; for the capture of a graph.

        What it yields is to be asked to `prepare` before each replay.
        """
        replays = Replays(self, cupy.zeros(2, np.uint64))
        with self._lock:
            kept, self._place, self._offset = self._offset, replays.place, 0
        try:
            yield replays
        finally:
            with self._lock:
                replays.drawn, self._place, self._offset = self._offset, None, kept

    def advance(self, words: int) -> tuple[int, int]:
        """Seed and offset, which then moves on by as many words a thread, in steps of four."""
        with self._lock:
            offset = self._offset
            self._offset += -(-words // 4) * 4
            return self._seed, offset

    # Distributions

    def uniform(self, shape: Any, dtype: Any = np.float32, low: float = 0, high: float = 1) -> Any:
        """Uniform in [low, high). A complex dtype has both parts uniform."""
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return self.uniform(*on_cpu.parts(shape, dtype), low, high).view(dtype)[..., 0]
        on_cpu.check_uniform(low, high, dtype)
        return self._numbers("Uniform", shape, dtype, low, high)

    def normal(self, shape: Any, dtype: Any = np.float32, mean: float = 0, std: float = 1, blocks: bool = True) -> Any:
        """Normal with `mean` and `std`. The parts of a complex dtype have standard deviation std / sqrt(2)."""
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return self.normal(*on_cpu.parts(shape, dtype), mean, std / 2**0.5).view(dtype)[..., 0]
        work_dtype("normal", dtype)
        if not std >= 0:
            raise RuntimeError(f"normal: expects std >= 0, got std={std}")
        return self._numbers("Normal", shape, dtype, mean, std)

    def exponential(self, shape: Any, dtype: Any = np.float32, lambd: float = 1) -> Any:
        """Exponential with rate `lambd`."""
        dtype = np.dtype(dtype)
        work_dtype("exponential", dtype)
        if not lambd > 0:
            raise RuntimeError(f"exponential: expects lambd > 0, got lambd={lambd}")
        return self._numbers("Exponential", shape, dtype, lambd)

    def bernoulli(self, p: Any, shape: Any = None, dtype: Any = None) -> Any:
        """1 with probability `p`, else 0: a number, or an array of them, which is broadcast to `shape`.

        Elements of an array are not looked at first, which would wait for the GPU: below 0 counts as 0, above 1 as 1.
        """
        if isinstance(p, cupy.ndarray):
            work_dtype("bernoulli", p.dtype)
            dtype = np.dtype(dtype or p.dtype)
            out = cupy.empty(p.shape if shape is None else shape, dtype if dtype.char in "fdeE" else bool)
            p = cupy.ascontiguousarray(cupy.broadcast_to(p, out.shape), np.float64 if dtype.char == "d" else np.float32)
            if out.size:
                blocks = min(-(-out.size // (4 * THREADS)), 1 << 16)
                self._launch("bernoulli_each", (ctype(out),), blocks, 12, p, out, np.uint64(out.size))
            return out.astype(dtype, copy=False)
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli: expects 0 <= p <= 1, got p={p}")
        shape = () if shape is None else shape
        return self._numbers("Bernoulli", shape, np.dtype(dtype or np.float32), p)

    def random_(self, shape: Any, dtype: Any = np.float32, low: int | None = None, high: int | None = None) -> Any:
        """Integers in [0, m], [0, high), [low, high) or [low, m]; m and the way of drawing are as on the CPU."""
        return self._integers("random_", shape, np.dtype(dtype), low, high)

    def randint(self, low: int, high: int, shape: Any, dtype: Any = np.int64) -> Any:
        """Integers in [low, high): remainders of 32 bits, of 64 for 2^28 numbers or more, as PyTorch draws them."""
        return self._integers("randint", shape, np.dtype(dtype), low, high)

    def randperm(self, n: int, dtype: Any = np.int64) -> Any:
        """The numbers 0 to n - 1 in the order of random keys of 63 bits."""
        dtype = np.dtype(dtype)
        on_cpu.check_permutation(n, dtype)
        return cupy.argsort(self._words("u64", n, np.dtype(np.int64), 0, 2**63)).astype(dtype, copy=False)

    def dropout(self, x: Any, keep: float, scale: float) -> tuple[Any, Any]:
        """x scale with probability `keep`, else 0; and the choice in bits, which `k.dropout` takes for the gradient."""
        x, number = cupy.ascontiguousarray(x), np.float64 if x.dtype.char == "d" else np.float32
        y, bits = cupy.empty(x.shape, x.dtype), cupy.empty(-(-x.size // 8), np.uint8)
        if x.size:
            wide = 16 // x.itemsize
            while wide > 1 and (x.size % wide or x.data.ptr % (wide * x.itemsize)):
                wide //= 2
            threads = _blocks(x.size) * THREADS
            blocks = min(-(-bits.size // THREADS), 1 << 14)
            self._launch("dropout", (ctype(x), wide), blocks, _drawn(x.size, threads, 4), x, y, bits,
                         np.uint64(x.size), np.uint64(threads), number(keep), number(scale))
        return y, bits

    def multinomial(self, probs: Any, num_samples: int, replacement: bool = False) -> Any:
        """Indices of categories by weights (n,) or (rows, n), as on the CPU; with replacement several are drawn there.

        Weights are not looked at first, which would wait for the GPU.
        """
        if replacement and num_samples > 1:
            return self._on_cpu("multinomial", (probs, num_samples, True), {})
        on_cpu.check_multinomial(probs, num_samples, replacement)
        score = probs / self.exponential(probs.shape, probs.dtype)
        if num_samples == 1:
            return cupy.argmax(score, -1)[..., None]
        return cupy.ascontiguousarray(cupy.argsort(-score, -1)[..., :num_samples])

    def __getattr__(self, name: str) -> Any:
        """Distributions without a kernel: drawn on the CPU, by a generator that the next offset seeds."""
        if name.startswith("_") or not hasattr(on_cpu.Generator, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        return lambda *arguments, **options: self._on_cpu(name, arguments, options)

    # What the distributions share

    def _on_cpu(self, name: str, arguments: tuple, options: dict) -> Any:
        if self._place is not None:
            raise RuntimeError(f"{name}: draws on the CPU, which a graph of the GPU cannot repeat")
        seed, offset = self.advance(4)
        source = on_cpu.Generator((seed + 0x9E3779B97F4A7C15 * (offset + 1)) % 2**64)
        moved = [x.get() if isinstance(x, cupy.ndarray) else x for x in arguments]
        return cupy.asarray(getattr(source, name)(*moved, **options))

    def _numbers(self, kind: str, shape: Any, dtype: np.dtype, a: float, b: float = 0.0) -> Any:
        out = cupy.empty(shape, dtype if dtype.char in "fdeE" else bool)
        if out.size:
            blocks, count = _blocks(out.size), 2 if out.dtype.char == "d" else 4
            self._launch("numbers", (kind, ctype(out)), blocks, _drawn(out.size, blocks * THREADS, count), out,
                         np.uint64(out.size), np.float64(a), np.float64(b))
        return out.astype(dtype, copy=False)

    def _integers(self, op: str, shape: Any, dtype: np.dtype, low: int | None, high: int | None) -> Any:
        first, size, wide = on_cpu.integer_range(op, dtype, low, high)
        return self._words("u64" if wide else "unsigned", shape, dtype, first, size)

    def _words(self, word: str, shape: Any, dtype: np.dtype, first: int, size: int) -> Any:
        out = cupy.empty(shape, np.int32 if dtype.char == "i" else np.int64)
        if out.size:
            blocks, count = _blocks(out.size), 2 if word == "u64" else 4
            self._launch("integers", (word, ctype(out)), blocks, _drawn(out.size, blocks * THREADS, count), out,
                         np.uint64(out.size), np.uint64(first % 2**64), np.uint64(size % 2**64))
        return out.astype(dtype, copy=False)

    def _launch(self, name: str, types: tuple, blocks: int, words: int, *arguments: Any) -> None:
        seed, offset = self.advance(words)
        numbers = np.uint64(seed), np.uint64(offset), self._place
        program.launch(name, types, (blocks,), (THREADS,), (*arguments, *numbers))


class Replays:
    """What a captured graph draws: `prepare` gives the next replay its place in the stream, and is not captured."""

    def __init__(self, source: Philox, place: Any):
        self.source, self.place, self.drawn = source, place, 0

    def prepare(self) -> None:
        """Put seed and offset where the graph's kernels read them; the generator moves on by what they draw."""
        seed, offset = self.source.advance(self.drawn)
        program.launch("put", (), (1,), (1,), (self.place, np.uint64(seed), np.uint64(offset)))


def _blocks(size: int) -> int:
    """As many as PyTorch launches: what the GPU can hold at once."""
    return min(-(-size // THREADS), _resident())


def _drawn(size: int, threads: int, count: int) -> int:
    """How far a thread's offset moves: four for each time that all of them draw `count` numbers."""
    return ((size - 1) // (threads * count) + 1) * 4


def _resident() -> int:
    return _resident_on(cupy.cuda.runtime.getDevice())


@cache
def _resident_on(device: int) -> int:
    found = cupy.cuda.runtime.getDeviceProperties(device)
    return found["multiProcessorCount"] * (found["maxThreadsPerMultiProcessor"] // THREADS)


def _restored(state: np.ndarray) -> Philox:
    return Philox().set_state(state)
