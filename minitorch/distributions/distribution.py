"""`Distribution`: shapes, validation and what all distributions offer."""
from __future__ import annotations

import copy
import warnings
from typing import Any

from ..engine import no_grad
from ..tensor import Size, Tensor
from . import constraints
from .utils import lazy_property

__all__ = ["Distribution"]


class Distribution:
    """The base of probability distributions.

    A sample has the shape sample_shape + batch_shape + event_shape: independent draws, distributions with parameters
    of their own, and what one draw consists of. `log_prob` and `entropy` have no event axes. A subclass names its
    parameters and where they may lie in `arg_constraints`, and where its samples lie in `support`; with
    `validate_args` (the default) anything outside raises ValueError.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = __debug__
    _parts: tuple[str, ...] = ()  # attributes that are distributions of the same batch shape

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their arguments."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expects True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to `batch_shape`."""
        batch_shape = Size(batch_shape)
        new = copy.copy(self) if _instance is None else _instance
        for name, value in vars(self).items():
            vars(new).setdefault(name, value)
        for name, constraint in self.arg_constraints.items():
            value = vars(self).get(name)
            if isinstance(value, Tensor):
                setattr(new, name, value.expand(batch_shape + value.shape[value.ndim - constraint.event_dim:]))
        for name in self._parts:
            setattr(new, name, getattr(self, name).expand(batch_shape))
        new._batch_shape, new._event_shape = batch_shape, self._event_shape
        return new

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters, less what belongs to one event."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw from one distribution."""
        return self._event_shape

    # What subclasses define

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The constraint of each parameter."""
        raise NotImplementedError(f"{type(self).__name__}: arg_constraints is not defined")

    @property
    def support(self) -> Any:
        """The constraint that samples satisfy."""
        raise NotImplementedError(f"{type(self).__name__}: support is not defined")

    @property
    def mean(self) -> Tensor:
        """The mean, of shape batch_shape + event_shape."""
        raise NotImplementedError(f"{type(self).__name__}: mean is not defined")

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise NotImplementedError(f"{type(self).__name__}: mode is not defined")

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        raise NotImplementedError(f"{type(self).__name__}: variance is not defined")

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients reach the parameters: a function of them and of noise."""
        raise NotImplementedError(f"{type(self).__name__}: rsample is not defined")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError(f"{type(self).__name__}: log_prob is not defined")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a draw up to `value`."""
        raise NotImplementedError(f"{type(self).__name__}: cdf is not defined")

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`: the quantile of probability `value`."""
        raise NotImplementedError(f"{type(self).__name__}: icdf is not defined")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along a new first axis; without `expand`, batch axes have size 1."""
        raise NotImplementedError(f"{type(self).__name__}: enumerate_support is not defined")

    def entropy(self) -> Tensor:
        """The entropy in nats, of shape batch_shape."""
        raise NotImplementedError(f"{type(self).__name__}: entropy is not defined")

    # What follows

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape sample_shape + batch_shape + event_shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, which PyTorch prefers today."""
        warnings.warn("sample_n(n) is deprecated: use sample((n,))", FutureWarning, stacklevel=2)
        return self.sample(Size((n,)))

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        given = {name: vars(self)[name] for name in self.arg_constraints if name in vars(self)}
        shown = (f"{name}: {value if value.numel() == 1 else value.shape}" for name, value in given.items())
        return f"{type(self).__name__}({', '.join(shown)})"

    # For subclasses

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(f"{type(self).__name__}, a subclass of {cls.__name__} with an __init__ of its "
                                      "own, must define expand too")
        return self.__new__(type(self)) if _instance is None else _instance

    def _check_parameters(self) -> None:
        try:
            bounds = self.arg_constraints
        except NotImplementedError:
            warnings.warn(f"{type(self).__name__} does not define arg_constraints: set arg_constraints = {{}}, or pass "
                          "validate_args=False", stacklevel=4)
            return
        for name, constraint in bounds.items():
            lazy = name not in vars(self) and isinstance(getattr(type(self), name), lazy_property)
            if lazy or constraints.is_dependent(constraint):
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(f"{type(self).__name__}: Expected parameter {name} of shape {tuple(value.shape)} to "
                                 f"satisfy the constraint {constraint!r}, but found invalid values:\n{value}")

    def _validate_sample(self, value: Any) -> None:
        """Raises ValueError where `value` is no tensor, does not fit the shapes or lies outside the support."""
        name = type(self).__name__
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: the value argument must be a Tensor, got {type(value).__name__}")
        shape, expected = value.shape, self._batch_shape + self._event_shape
        if shape[len(shape) - len(self._event_shape):] != self._event_shape:
            raise ValueError(f"{name}: value expects event_shape {tuple(self._event_shape)} as its last axes, got "
                             f"shape {tuple(shape)}")
        if any(i != j and 1 not in (i, j) for i, j in zip(reversed(shape), reversed(expected))):
            raise ValueError(f"{name}: value of shape {tuple(shape)} is not broadcastable with batch_shape + "
                             f"event_shape {tuple(expected)}")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{name} does not define support, so values are not checked: pass validate_args=False",
                          stacklevel=3)
            return
        if not support.check(value).all():
            raise ValueError(f"{name}: Expected value argument of shape {tuple(shape)} to be within the support "
                             f"({support!r}), but found invalid values:\n{value}")
