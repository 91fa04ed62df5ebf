"""Random tensors: the generators, and the numbers that PyTorch's draw from the same seed.

Each GPU has a default generator of its own (`minitorch_kernels.cuda.random`), which draws there.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from minitorch_kernels import random as kernels

from .. import dtypes
from ..device import cuda_used, cupy, device_of, move
from ..device import device as as_device
from ..engine import mode, no_grad, whole
from ..errors import NoCudaError
from ..inplace import write
from ..op import FUNCTIONS, composite
from ..shapes import broadcast
from ..tensor import Tensor
from .creation import factory, require_tensor, sizes
from .gather import into_apart


class Generator:
    """A source of random numbers with a state of its own, for the `generator=` of the functions here.

    It serves tensors on its own kind of device, "cpu" or "cuda".

    >>> g = Generator().manual_seed(0)
    >>> rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    def __init__(self, device: Any = "cpu"):
        self.device = as_device(device)
        self.source = _philox() if self.device.type == "cuda" else kernels.Generator()

    @whole
    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`."""
        self.source.manual_seed(_seed(seed))
        return self

    @whole
    def seed(self) -> int:
        """Start again from a seed of the system's entropy; returns it."""
        return self.source.seed()

    @whole
    def initial_seed(self) -> int:
        """The seed that it last started from."""
        return self.source.initial_seed()

    @whole
    def get_state(self) -> Tensor:
        """The state, as the 5056 bytes that PyTorch's generator has; for a GPU 16, seed and offset."""
        return Tensor._wrap(self.source.get_state())

    @whole
    def set_state(self, new_state: Tensor) -> None:
        """Go on from a state that `get_state` gave. Raises TypeError or RuntimeError for anything else."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"set_state: expected a torch.ByteTensor, but got {type(new_state).__name__}")
        self.source.set_state(np.asarray(new_state.cpu()._array))

    def clone_state(self) -> Generator:
        """A second generator in the same state."""
        twin = Generator(self.device)
        twin.source = self.source.clone()
        return twin

    def __getstate__(self) -> tuple:
        return str(self.device), self.source

    def __setstate__(self, state: tuple) -> None:
        self.device, self.source = as_device(state[0]), state[1]


class DefaultGenerator(Generator):
    """What is drawn from without a generator. A thread can put one of its own in its place, as data workers do."""

    @property
    def source(self) -> kernels.Generator:
        return getattr(_own, "source", self._shared)

    @source.setter
    def source(self, source: kernels.Generator) -> None:
        self._shared = source

    def replace_in_this_thread(self, generator: Generator) -> None:
        """Let this thread draw from `generator` from now on."""
        _own.source = generator.source


_own = threading.local()
default_generator = DefaultGenerator()
FUNCTIONS.update(Generator=Generator, default_generator=default_generator)


def source_of(generator: Generator | None, place: Any = np) -> Any:
    """The kernel behind `generator`, or behind the default one, for the array module or the device of `place`.

    Raises TypeError for what is no generator, RuntimeError for one of another kind of device.
    """
    if hasattr(place, "__name__"):  # a module, or what stands for it while steps are recorded
        on_gpu, number = place.__name__ == "cupy", None
    else:
        found = device_of(place)
        on_gpu, number = found.type == "cuda", found.index
    if generator is None:
        generator = default_on_gpu(number) if on_gpu else default_generator
    elif not isinstance(generator, Generator):
        raise TypeError(f"generator: expects a Generator, got {type(generator).__name__}")
    elif (generator.device.type == "cuda") != on_gpu:
        raise RuntimeError(f"Expected a '{'cuda' if on_gpu else 'cpu'}' device type for generator but found "
                           f"'{generator.device.type}'")
    if mode.drawing is not None:
        mode.drawing(generator)
    return generator.source if mode.recorder is None else mode.recorder.source(generator)


# The default generators

_gpus: dict[int, Generator] = {}  # by the GPU's number, made when first asked for
_first = {"seed": kernels.DEFAULT_SEED}  # what those that are still to be made start from


def default_on_gpu(number: int | None = None) -> Generator:
    """The default generator of a GPU, of the current one unless said."""
    number = cupy().cuda.runtime.getDevice() if number is None else number
    if number not in _gpus:
        _gpus[number] = Generator(as_device("cuda", number))
        _gpus[number].source.manual_seed(_first["seed"])
    return _gpus[number]


def seed_gpus(seed: int) -> None:
    """Start the default generators of all GPUs again from `seed`."""
    _first["seed"] = _seed(seed)
    for generator in list(_gpus.values()):
        generator.manual_seed(seed)


def states() -> list[tuple[Generator, Tensor]]:
    """The default generators, those of GPUs that have been used too, with their states."""
    if cuda_used():
        with suppress(NoCudaError):
            default_on_gpu()  # which may be used for the first time after this
    return [(generator, generator.get_state()) for generator in (default_generator, *_gpus.values())]


def put_back(states: list[tuple[Generator, Tensor]]) -> None:
    """Set generators to the states that `states` found."""
    for generator, state in states:
        generator.set_state(state)


def _philox() -> Any:
    from minitorch_kernels.cuda.random import Philox  # here: a process without a GPU has no use for it

    return Philox()


@composite(method=False)
def manual_seed(seed):
    """Start the default generators, those of the GPUs too, again from `seed`; returns the CPU's."""
    seed_gpus(seed)
    return default_generator.manual_seed(seed)


@composite(method=False)
def seed():
    """Start the default generators again from the system's entropy; returns the seed."""
    found = default_generator.seed()
    seed_gpus(found)
    return found


@composite(method=False)
def initial_seed():
    """The seed that the default generator last started from."""
    return default_generator.initial_seed()


@composite(method=False)
def get_rng_state():
    """The default generator's state, a tensor of bytes."""
    return default_generator.get_state()


@composite(method=False)
def set_rng_state(new_state):
    """Set the default generator's state to what `get_rng_state` gave."""
    default_generator.set_state(new_state)


def _seed(seed: Any) -> int:
    seed = int(seed)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"manual_seed: seed expects -2^63 <= seed < 2^64, got {seed}")
    return seed


# New tensors

@factory(sized=True)
def rand(xp, size, *, dtype, generator=None):
    """Uniform in [0, 1)."""
    return source_of(generator, xp).uniform(size, dtype)


@factory(sized=True)
def randn(xp, size, *, dtype, generator=None):
    """Normal with mean 0 and variance 1."""
    return source_of(generator, xp).normal(size, dtype)


@factory
def randint(xp, low=0, high=None, size=None, *, dtype=None, generator=None):
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`.

    >>> manual_seed(0) and None
    >>> randint(10, (3,))
    tensor([4, 9, 3])
    """
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint(): argument 'size' must be tuple of ints, not {type(size).__name__}")
    return source_of(generator, xp).randint(int(low), int(high), sizes("randint", size), dtype or np.dtype("int64"))


@composite(method=False)
def randint_like(input, low=0, high=None, *, generator=None, dtype=None, device=None, requires_grad=False, layout=None,
                 memory_format=None):
    """Integers in [low, high) of the shape, type and device of `input`."""
    require_tensor("randint_like", input)
    low, high = (0, low) if high is None else (low, high)
    order = _memory_order(input._array) or range(input.ndim)
    t = randint(low, high, tuple([input.shape[d] for d in order]), generator=generator, dtype=dtype or input.dtype,
                device=input.device if device is None else device)
    return t.permute([int(d) for d in np.argsort(order)]).detach().requires_grad_(requires_grad)


@factory
def randperm(xp, n, *, dtype=None, generator=None):
    """The numbers 0 to n - 1 in random order."""
    return source_of(generator, xp).randperm(n, dtype or np.dtype("int64"))


@composite(method=False)
def normal(mean=0.0, std=1.0, size=None, *, generator=None, out=None, dtype=None, device=None, requires_grad=False,
           layout=None, pin_memory=False):
    """Normal numbers of shape `size`, or, where `mean` or `std` is a tensor, one for each of its elements."""
    if size is not None:
        mean, std = (v.item() if isinstance(v, Tensor) else v for v in (mean, std))
    given = [v.detach() for v in (mean, std) if isinstance(v, Tensor)]
    if not given:
        if size is None:
            raise TypeError("normal() missing required argument: 'size'")
        t = FUNCTIONS["empty"](size, dtype=dtype, device=device).normal_(mean, std, generator=generator)
        return write(out, t, resize=True) if out is not None else t.requires_grad_(requires_grad)
    if isinstance(std, Tensor) and bool((std < 0).any()):
        raise RuntimeError("normal: expects all elements of std >= 0.0")
    shape = broadcast("normal", *(tuple(v.shape) for v in given))
    with no_grad():
        t = FUNCTIONS["empty"](shape, dtype=given[0].dtype, device=given[0].device).normal_(generator=generator)
        t = t.mul_(std).add_(mean)
    return t if out is None else write(out, t, resize=True)


@composite
def bernoulli(input, p=None, *, generator=None, out=None):
    """1 with probability `p`, or where that is None with the probability that the element is, else 0."""
    if input.is_meta:
        return FUNCTIONS["empty_like"](input)
    array = input._array
    drawn = source_of(generator, array).bernoulli(array if p is None else p, array.shape, array.dtype)
    return into_apart("bernoulli", out, _placed(drawn, input, None), input)


@composite
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """`num_samples` indices of categories for each row of `input`, weights that need not sum to 1."""
    if input.is_meta:
        return FUNCTIONS["empty"](*input.shape[:-1], num_samples, dtype=dtypes.int64, device=input.device)
    drawn = source_of(generator, input._array).multinomial(input._array, num_samples, replacement)
    return into_apart("multinomial", out, _placed(drawn, input, None), input)


@composite(method=False)
def poisson(input, generator=None):
    """A Poisson number for each element, which is its rate."""
    if input.is_meta:
        return FUNCTIONS["empty_like"](input)
    rates = input._array
    if rates.dtype.kind not in "fV":
        raise NotImplementedError(f'"poisson" not implemented for {input.dtype}')
    if (rates < 0).any():
        raise RuntimeError("poisson: invalid Poisson rate, expected rate to be non-negative")
    return _placed(source_of(generator, rates).poisson(rates), input, None)


# In place

def _drawing(name: str, **parameters: float | None) -> None:
    """The method `name_` with those parameters and defaults; None where there is no default."""
    def method(self, *args, generator=None, **named):
        given = {**parameters, **dict(zip(parameters, args)), **named}
        if len(args) > len(parameters) or given.keys() != parameters.keys() or None in given.values():
            raise TypeError(f"{name}_(): takes {', '.join(parameters)} and generator, got {args} and {named}")
        self._check_inplace(name + "_")
        if self.is_meta:
            return self
        draw, values = getattr(source_of(generator, self._array), name), list(map(float, given.values()))
        if name == "normal" and isinstance(self._array, np.ndarray) and not self._array.flags.c_contiguous:
            values.append(False)  # PyTorch draws one number after the other then
        return _replaced(self, lambda shape: draw(shape, self._array.dtype, *values))

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"Numbers of the {name.replace('_', '-')} distribution, in place."
    composite(method, function=False)


_drawing("normal", mean=0.0, std=1.0)
_drawing("uniform", **{"from": 0.0, "to": 1.0})
_drawing("exponential", lambd=1.0)
_drawing("cauchy", median=0.0, sigma=1.0)
_drawing("log_normal", mean=1.0, std=2.0)
_drawing("geometric", p=None)


@composite(function=False)
def bernoulli_(self, p=0.5, *, generator=None):
    """1 with probability `p`, a number or a tensor of probabilities, else 0, in place."""
    self._check_inplace("bernoulli_")
    if self.is_meta:
        return self
    dtype, source = self._array.dtype, source_of(generator, self._array)
    if isinstance(p, Tensor):
        order, p = _memory_order(self._array), move(p._array, device_of(self._array))
        p = np.broadcast_to(p, self._array.shape).transpose(order) if order else p
    return _replaced(self, lambda shape: source.bernoulli(p, shape, dtype))


@composite(function=False)
def random_(self, *bounds, generator=None, **named):
    """Integers in place: `random_()` in [0, largest], `random_(to)` in [0, to), `random_(from, to)` in [from, to)."""
    low, high = named.pop("from", None), named.pop("to", None)
    if named or len(bounds) > 2:
        raise TypeError(f"random_(): takes from, to and generator, got {bounds} and {named}")
    if len(bounds) == 2:
        low, high = bounds
    elif bounds:
        low, high = (None, bounds[0]) if high is None else (bounds[0], high)
    self._check_inplace("random_")
    if self.is_meta:
        return self
    source = source_of(generator, self._array)
    return _replaced(self, lambda shape: source.random_(shape, self._array.dtype, low, high))


def _replaced(x: Tensor, draw: Callable) -> Tensor:
    """`x` with the numbers that `draw(shape)` draws, in the order in which they lie in memory."""
    order = _memory_order(x._array)
    if order is None:
        drawn = draw(x._array.shape)
    else:
        drawn = draw(tuple([x._array.shape[d] for d in order])).transpose(np.argsort(order))
    return write(x, Tensor._wrap(move(drawn, device_of(x._array))))


def _memory_order(array: Any) -> list[int] | None:
    """The dimensions from the slowest to the fastest one in memory; None where that is their own order."""
    if not isinstance(array, np.ndarray) or array.flags.c_contiguous or array.ndim < 2:
        return None
    order = sorted(range(array.ndim), key=lambda d: -abs(array.strides[d]))
    return None if order == list(range(array.ndim)) else order


def _like(name: str) -> None:
    """Let the function `name` give what lies in memory as its `input` does, and draw in that order."""
    plain = FUNCTIONS[name]

    @functools.wraps(plain)
    def like(input, **options):
        order = _memory_order(input._array) if isinstance(input, Tensor) else None
        if order is None or not input._array.transpose(order).flags.c_contiguous:
            return plain(input, **options)
        grad, generator = options.pop("requires_grad", False), options.pop("generator", None)
        t = FUNCTIONS["empty_like"](input.permute(order), **options).permute([int(d) for d in np.argsort(order)])
        t = t.detach()
        getattr(t, {"rand_like": "uniform_", "randn_like": "normal_"}[name])(generator=generator)
        return t.requires_grad_(grad)

    FUNCTIONS[name] = like


_like("rand_like")
_like("randn_like")


def _placed(drawn: Any, like: Tensor, out: Tensor | None) -> Tensor:
    """The numbers as a tensor beside `like`, or in `out`."""
    t = Tensor._wrap(move(np.asarray(drawn) if isinstance(drawn, np.generic) else drawn, device_of(like._array)))
    return t if out is None else write(out, t, resize=True)
