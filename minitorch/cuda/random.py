"""`torch.cuda.random`: the default generator of each GPU. Without a GPU, seeding does nothing."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..device import cupy
from ..device import device as _device
from ..errors import NoCudaError
from ..ops.random import Generator, default_on_gpu, seed_gpus
from ..tensor import Tensor


def manual_seed(seed: int) -> None:
    """Start the current GPU's generator again from `seed`."""
    if _count():
        default_on_gpu().manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Start the generators of all GPUs again from `seed`."""
    seed_gpus(seed)


def seed() -> None:
    """Start the current GPU's generator again from the system's entropy."""
    if _count():
        default_on_gpu().seed()


def seed_all() -> None:
    """Start the generators of all GPUs again from one seed of the system's entropy."""
    if _count():
        seed_gpus(default_on_gpu().seed())


def initial_seed() -> int:
    """The seed that the current GPU's generator last started from. Raises NoCudaError without a GPU."""
    return default_on_gpu().initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """A generator's state: 16 bytes, seed and offset. Raises NoCudaError without a GPU."""
    return _generator(device).get_state()


def get_rng_state_all() -> list[Tensor]:
    """The states of all GPUs' generators."""
    return [get_rng_state(number) for number in range(_count())]


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Go back to a state that `get_rng_state` gave. Raises NoCudaError without a GPU."""
    _generator(device).set_state(new_state)


def set_rng_state_all(new_states: Iterable[Tensor]) -> None:
    """Go back to the states that `get_rng_state_all` gave."""
    for number, state in enumerate(new_states):
        set_rng_state(state, number)


def _generator(device: Any) -> Generator:
    found = _device(device)
    if found.type != "cuda":
        raise ValueError(f"cuda: expected a cuda device, got {found}")
    return default_on_gpu(found.index)


def _count() -> int:
    try:
        return cupy().cuda.runtime.getDeviceCount()
    except NoCudaError:
        return 0


__all__ = ["get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all", "seed", "seed_all",
           "set_rng_state", "set_rng_state_all"]
