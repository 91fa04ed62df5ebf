"""All parameters as one vector, and back."""
from __future__ import annotations

from collections.abc import Iterable

from ...engine import no_grad
from ...op import FUNCTIONS
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters, flattened, one after the other; differentiable."""
    return FUNCTIONS["cat"]([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the parts of `vec` into the parameters. Raises TypeError unless it is a tensor."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    with no_grad():
        for p in parameters:
            size = p.numel()
            p.data = vec[start:start + size].view_as(p).data
            start += size
