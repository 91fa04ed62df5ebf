"""The Mersenne Twister under PyTorch's CPU generator: its words, its seeding and its saved state."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

# at::CPUGeneratorImplState, 5056 bytes: the layout of torch.get_rng_state()
_ENGINE = np.dtype([("seed", "u8"), ("left", "i4"), ("seeded", "i4"), ("next", "u8"), ("words", "u8", 624),
                    ("normal_x", "f8"), ("normal", "f8"), ("normal_rho", "f8"), ("has_normal", "i4")],
                   align=True)
_STATE = np.dtype([("engine", _ENGINE), ("float_normal", "f4"), ("has_float_normal", "?")], align=True)


class Twister:
    """mt19937, a stream of 32-bit words (Matsumoto and Nishimura, ACM TOMACS 8, 1998).

    NumPy's `RandomState` runs the same recurrence from the same seeding (init_genrand), and NEP 19 froze its
    stream. Of a seed's 64 bits the recurrence sees the lower 32, as in PyTorch. NumPy's state is made with
    the first word, because importing numpy.random takes longer than everything else here.

    >>> Twister(5489).words(2)
    array([3499211612,  581869302], dtype=uint32)
    """

    def __init__(self, seed: int):
        self.seed = seed
        self._started = False
        self._made: np.random.RandomState | None = None
        self._state: np.ndarray | None = None

    def words(self, n: int) -> np.ndarray:
        """The next `n` words, as uint32."""
        self._started |= n > 0
        return self._stream().randint(0, 1 << 32, n, np.uint32)

    def words64(self, n: int) -> np.ndarray:
        """`n` words of 64 bits: two of 32 each, the upper half first."""
        words = self.words(2 * n)
        wide = words[0::2].astype(np.uint64)
        wide <<= 32
        wide |= words[1::2]
        return wide

    def units(self, n: int, work: type) -> np.ndarray:
        """`n` uniform numbers in [0, 1): `unit` of words of 64 bits where `work` is float64, else of 32."""
        return unit(self.words64(n) if work is np.float64 else self.words(n))

    def mark(self) -> Any:
        """Where the stream stands, for `rewind`."""
        state = self._memory()
        return self._stream().get_state() if state is None else state.copy()

    def rewind(self, mark: Any) -> None:
        """Go back to where `mark` was taken."""
        state = self._memory()
        if state is None:
            self._stream().set_state(mark)
        else:
            state[:] = mark

    def draw(self, name: str, *arguments: Any) -> bool:
        """Run `cpu.random.<name>`, compiled, on the stream; False, and nothing done, where Numba is not installed."""
        try:
            from .cpu import random as compiled
        except ImportError:
            return False
        state = self._memory()
        if state is None:
            return False
        state[624] = getattr(compiled, name)(state[:624], np.int64(state[624]), *arguments)
        self._started = True
        return True

    def save(self, normal: float | None) -> np.ndarray:
        """The state, with a normal number that waits to be handed out, as the 5056 bytes that PyTorch saves.

        `next` words of the current 624 are used, and `left` - 1 remain; only a twister that has handed out
        none says next = 0.
        """
        stream: Any = self._stream().get_state(legacy=False)["state"]
        state = np.zeros(1, _STATE)
        engine = state["engine"]
        engine["seed"], engine["seeded"], engine["words"] = self.seed, True, stream["key"]
        engine["left"], engine["next"] = 625 - stream["pos"], stream["pos"] if self._started else 0
        if normal is not None:
            engine["normal"], engine["has_normal"] = normal, True
        return state.view(np.uint8)

    @staticmethod
    def load(saved: np.ndarray) -> tuple[Twister, float | None]:
        """The twister and the waiting normal number from `save`'s bytes.

        Raises TypeError where `saved` is not uint8, RuntimeError where it is no state.
        """
        if saved.dtype != np.uint8:
            raise TypeError(f"set_state: expects an array of uint8, got {saved.dtype}")
        if saved.size != _STATE.itemsize:
            raise RuntimeError(f"set_state: expects a state of {_STATE.itemsize} bytes, got {saved.size}")
        engine = np.ascontiguousarray(saved).reshape(-1).view(_STATE)["engine"][0]
        if not engine["seeded"] or not 0 < engine["left"] <= 624 or engine["next"] > 624:
            raise RuntimeError("set_state: invalid mt19937 state")
        twister = Twister(int(engine["seed"]))
        twister._started = bool(engine["next"])
        stream = {"key": engine["words"].astype(np.uint32), "pos": 625 - int(engine["left"])}
        twister._stream().set_state({"bit_generator": "MT19937", "state": stream})
        return twister, float(engine["normal"]) if engine["has_normal"] else None

    def _memory(self) -> np.ndarray | None:
        """NumPy's state itself, 624 words and how many of them are used: to copy it out and in takes 80 us.

        None where it does not lie in memory as it did in NumPy 1.17 to 2.4.
        """
        if self._state is None:
            stream: Any = self._stream()
            interface = stream._bit_generator.ctypes
            self._state = np.ctypeslib.as_array((ctypes.c_uint32 * 625).from_address(interface.state_address))
            known = stream.get_state(legacy=False)["state"]
            self._state_known = bool((self._state[:624] == known["key"]).all() and self._state[624] == known["pos"])
        return self._state if self._state_known else None

    def _stream(self) -> np.random.RandomState:
        if self._made is None:
            self._made = np.random.RandomState(self.seed & 0xFFFFFFFF)
        return self._made


def unit(words: np.ndarray) -> np.ndarray:
    """Words as uniform numbers in [0, 1): the lower 24 of 32 bits in float32, 53 of 64 in float64.

    Overwrites `words`.
    """
    digits, signed, work = (24, np.int32, np.float32) if words.itemsize == 4 else (53, np.int64, np.float64)
    words &= words.dtype.type(2**digits - 1)
    u = words.view(signed).astype(work)
    return np.multiply(u, work(2.0**-digits), out=u)
