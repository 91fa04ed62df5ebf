"""From a constraint to a transform from the real numbers onto it: how to optimise a constrained parameter.

`biject_to(c)` is one to one; `transform_to(c)` need not be, and is the cheaper one to compute and to optimise through.

>>> from minitorch import tensor
>>> from minitorch.distributions import constraints
>>> biject_to(constraints.positive)(tensor(0.0))
tensor(1.)
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A table from types of constraints to functions from such a constraint to a transform."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable] = {}

    def register(self, constraint: Any, factory: Callable | None = None) -> Any:
        """Enter `factory(constraint)` for a type of constraint, or that of an instance; a decorator without it."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(f"register: expects a Constraint or a subclass of it, got {constraint!r}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> transforms.Transform:
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _interval(c: Any) -> transforms.Transform:
    if isinstance(c.lower_bound, (int, float)) and isinstance(c.upper_bound, (int, float)) \
            and (c.lower_bound, c.upper_bound) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(),
                                        transforms.AffineTransform(c.lower_bound, c.upper_bound - c.lower_bound)])


def _from(bound: str, scale: int) -> Callable:
    return lambda c: transforms.ComposeTransform([transforms.ExpTransform(),
                                                  transforms.AffineTransform(getattr(c, bound), scale)])


def _positive(c: Any) -> transforms.Transform:
    bound = c.lower_bound
    return transforms.ExpTransform() if isinstance(bound, (int, float)) and bound == 0 else _from("lower_bound", 1)(c)


for _to in (biject_to, transform_to):
    _to.register(constraints.real, lambda c: transforms.identity_transform)
    _to.register(constraints.greater_than, _positive)
    _to.register(constraints.greater_than_eq, _positive)
    _to.register(constraints.less_than, _from("upper_bound", -1))
    _to.register(constraints.interval, _interval)
    _to.register(constraints.half_open_interval, _interval)
    _to.register(constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform())
    _to.register(constraints.independent, lambda c, to=_to: transforms.IndependentTransform(
        to(c.base_constraint), c.reinterpreted_batch_ndims))
    _to.register(constraints.cat, lambda c, to=_to: transforms.CatTransform([to(x) for x in c.cseq], c.dim, c.lengths))
    _to.register(constraints.stack, lambda c, to=_to: transforms.StackTransform([to(x) for x in c.cseq], c.dim))

biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
transform_to.register(constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda c: transforms.PositiveDefiniteTransform())
