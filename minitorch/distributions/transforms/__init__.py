"""Transforms: differentiable maps between the sets that constraints describe, with their Jacobians' determinants.

>>> from minitorch import tensor
>>> t = ComposeTransform([AffineTransform(loc=1.0, scale=2.0), ExpTransform()])
>>> t(tensor([0.0, 1.0]))
tensor([ 2.7183, 20.0855])
>>> t.inv(tensor([1.0]))
tensor([-0.5000])
"""
from .base import (
    ComposeTransform,
    IndependentTransform,
    ReshapeTransform,
    Transform,
    _InverseTransform,
    identity_transform,
)
from .elementwise import (
    AbsTransform,
    AffineTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
)
from .join import CatTransform, StackTransform
from .matrices import (
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SoftmaxTransform,
    StickBreakingTransform,
)

__all__ = ["AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
           "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
           "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
           "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform",
           "_InverseTransform", "identity_transform"]
