"""`Fuzzer`: tensors of random sizes and memory layouts, as PyTorch gives them from the same seed."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MOST_TRIES = 1000


class FuzzedParameter:
    """A random number with a name: `loguniform` or `uniform` between two bounds (both included), or one of a
    dict's keys with the probabilities that are its values. A `strict` one is drawn once for all tries.

    Raises AssertionError, as PyTorch does, for an unknown distribution, or bounds beside a dict.
    """

    def __init__(self, name: str, minval: float | None = None, maxval: float | None = None,
                 distribution: str | dict[Any, float] | None = None, strict: bool = False):
        if isinstance(distribution, dict):
            _demand(all(p >= 0 for p in distribution.values()), f"{name}: probabilities must not be negative")
            _demand(minval is None and maxval is None, f"{name}: minval and maxval do not go with a dict")
        else:
            _demand(distribution in ("loguniform", "uniform"), f"{name}: unknown distribution {distribution!r}")
        self.name, self.strict = name, strict
        self._low: Any = minval
        self._high: Any = maxval
        self._distribution = distribution

    def sample(self, state: np.random.RandomState) -> Any:
        """A number drawn with NumPy's generator `state`."""
        low, high = self._low, self._high
        if isinstance(self._distribution, dict):  # an index: choice() itself would turn the keys into NumPy's types
            p = tuple(self._distribution.values())
            return list(self._distribution)[state.choice(np.arange(len(p)), p=p)]
        if self._distribution == "loguniform":
            return min(max(int(2 ** state.uniform(low=np.log2(low), high=np.log2(high))), low), high)
        if isinstance(low, int) and isinstance(high, int):
            return int(state.randint(low=low, high=high + 1))
        return state.uniform(low=low, high=high)


class ParameterAlias:
    """As a choice of a `FuzzedParameter`: the value of the parameter `alias_to`."""

    def __init__(self, alias_to: str):
        self.alias_to = alias_to

    def __repr__(self) -> str:
        return f"ParameterAlias[alias_to: {self.alias_to}]"


class FuzzedTensor:
    """A random tensor of `size`, whose entries are numbers or names of parameters; `dim_parameter` cuts it short.

    With `probability_contiguous` its memory lies in the order of its dimensions, otherwise in a random one; `steps`
    makes it a slice of a larger tensor. Sizes outside `min_elements`, `max_elements` and `max_allocation_bytes` are
    drawn again.
    """

    def __init__(self, name: str, size: tuple[str | int, ...], steps: tuple[str | int, ...] | None = None,
                 probability_contiguous: float = 0.5, min_elements: int | None = None, max_elements: int | None = None,
                 max_allocation_bytes: int | None = None, dim_parameter: str | None = None,
                 roll_parameter: str | None = None, dtype: Any = None, cuda: bool = False,
                 tensor_constructor: Callable | None = None):
        import minitorch

        self.name = name
        self._size, self._steps, self._dim_parameter = size, steps or (), dim_parameter
        self._probability_contiguous = probability_contiguous
        self._least, self._most, self._most_bytes = min_elements, max_elements, max_allocation_bytes
        self._dtype = minitorch.float32 if dtype is None else dtype
        self._cuda, self._constructor = cuda, tensor_constructor or self.default_tensor_constructor

    @staticmethod
    def default_tensor_constructor(size: tuple[int, ...], dtype: Any, **kwargs: Any) -> Any:
        """Uniform numbers of [0, 1), or integers from 1 to 126."""
        import minitorch

        if dtype.is_floating_point or dtype.is_complex:
            return minitorch.rand(size, dtype=dtype)
        return minitorch.randint(1, 127, size, dtype=dtype)

    def satisfies_constraints(self, params: dict[str, Any]) -> bool:
        """Whether a tensor with these parameters is neither too large nor too small."""
        size, _, allocated = self._sizes(params)
        n, n_bytes = math.prod(size), math.prod(allocated) * self._dtype.itemsize
        return not ((self._most is not None and n > self._most) or (self._least is not None and n < self._least)
                    or (self._most_bytes is not None and n_bytes > self._most_bytes))

    def _make_tensor(self, params: dict[str, Any], state: np.random.RandomState) -> tuple[Any, dict[str, Any]]:
        size, steps, allocated = self._sizes(params)
        whole = self._constructor(size=allocated, dtype=self._dtype, **params)
        if self._cuda:
            whole = whole.cuda()
        order = in_order = np.arange(len(size))
        if state.rand() > self._probability_contiguous:
            while len(size) > 1 and np.all(order == in_order):
                order = state.permutation(whole.dim())
            whole = whole.permute(tuple(map(int, order))).contiguous().permute(tuple(map(int, np.argsort(order))))
        tensor = whole[tuple(slice(0, n * step, step) for n, step in zip(size, steps))]
        return tensor, {"numel": int(tensor.numel()), "order": order, "steps": steps,
                        "is_contiguous": tensor.is_contiguous(), "dtype": str(self._dtype)}

    def _sizes(self, params: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The tensor's size, its steps, and the size of what it is sliced out of."""
        dim = len(self._size) if self._dim_parameter is None else params[self._dim_parameter]

        def resolved(values: tuple) -> tuple[int, ...]:
            numbers = tuple(params.get(value, value) for value in values)[:dim]
            return numbers + (1,) * (dim - len(numbers))

        size, steps = resolved(self._size), resolved(self._steps)
        return size, steps, tuple(n * step for n, step in zip(size, steps))


class Fuzzer:
    """Draws parameters, and tensors of these parameters, until all `constraints` (functions of them) hold.

    Raises ValueError where parameters and tensors share a name, where aliases go in a circle, and where a thousand
    tries give nothing valid.

    >>> sizes = [FuzzedParameter("n", 4, 32, "loguniform"), FuzzedParameter("m", 1, 8, "uniform")]
    >>> fuzzer = Fuzzer(sizes, [FuzzedTensor("x", size=("n", "m"))], seed=0)
    >>> [(tuple(tensors["x"].shape) == (p["n"], p["m"]), 4 <= p["n"] <= 32) for tensors, info, p in fuzzer.take(2)]
    [(True, True), (True, True)]
    """

    def __init__(self, parameters: list, tensors: list, constraints: list[Callable] | None = None,
                 seed: int | None = None):
        self._seed = int(np.random.RandomState().randint(0, 2 ** 32 - 1, dtype=np.int64)) if seed is None else seed
        self._parameters, self._tensors = _flat(parameters, FuzzedParameter), _flat(tensors, FuzzedTensor)
        self._constraints = constraints or []
        shared = {p.name for p in self._parameters} & {t.name for t in self._tensors}
        if shared:
            raise ValueError(f"Fuzzer: parameters and tensors share the names {sorted(shared)}")
        self._rejected = self._drawn = 0

    def take(self, n: int) -> Iterator[tuple[dict, dict, dict]]:
        """`n` times the tensors, their properties, and the parameters, each by name."""
        import minitorch

        state = np.random.RandomState(self._seed)
        minitorch.manual_seed(int(state.randint(low=0, high=2 ** 63, dtype=np.int64)))
        for _ in range(n):
            params = self._draw(state)
            made = {t.name: t._make_tensor(params, state) for t in self._tensors}
            yield {name: x for name, (x, _) in made.items()}, {name: info for name, (_, info) in made.items()}, params

    @property
    def rejection_rate(self) -> float:
        """The share of the parameters drawn that broke a constraint."""
        return self._rejected / self._drawn if self._drawn else 0.0

    def _draw(self, state: np.random.RandomState) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for _ in range(MOST_TRIES):
            params = {}
            for p in self._parameters:
                params[p.name] = kept[p.name] if p.name in kept else p.sample(state)
                if p.strict:
                    kept[p.name] = params[p.name]
            params = _without_aliases(params)
            self._drawn += 1
            if all(holds(params) for holds in self._constraints) and \
                    all(t.satisfies_constraints(params) for t in self._tensors):
                return params
            self._rejected += 1
        raise ValueError(f"Fuzzer: no valid parameters in {MOST_TRIES} tries")


def _without_aliases(params: dict[str, Any]) -> dict[str, Any]:
    for name in params:
        seen = {name}
        while isinstance(params[name], ParameterAlias):
            target = params[name].alias_to
            if target in seen:
                raise ValueError(f"Fuzzer: the aliases go in a circle: {params}")
            seen.add(target)
            params[name] = params[target]
    return params


def _flat(values: list, kind: type) -> list:
    return [v for value in values for v in ([value] if isinstance(value, kind) else value)]


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"FuzzedParameter {message}")
