"""Jacobians, Hessians and their products of a function at a point, under the names of `torch.autograd.functional`.

`func` takes the tensors of `inputs`, one or a tuple, and returns one or a tuple; so do the results here. Without
`create_graph` they have no history. `strict` raises RuntimeError where an output does not depend on an input, instead
of taking its derivative for zero. `vectorize` is accepted, and changes nothing.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine import enable_grad, mode, set_grad_enabled
from ..op import FUNCTIONS
from ..tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def jacobian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:
    """d(output)/d(input), (*output shape, *input shape), for each output and each input.

    >>> import minitorch as torch
    >>> jacobian(lambda x: x ** 2, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    from ..func import jacfwd, jacrev

    if strategy not in ("forward-mode", "reverse-mode"):
        raise ValueError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has '
                         'more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to '
                         f'use "reverse-mode". Got {strategy}')
    xs = _tensors("jacobian", "inputs", inputs)
    transform = jacrev if strategy == "reverse-mode" else jacfwd
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
        return _alone(transform(_checked("jacobian", func), tuple(range(len(xs))))(*xs), inputs)


def hessian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The second derivatives of a function with a single element: (*input shape, *input shape) for each two inputs.

    >>> import minitorch as torch
    >>> hessian(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    from ..func import grad, jacfwd, jacrev

    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise ValueError('Expected strategy to be either "forward-mode" or "reverse-mode". '
                         f"Got {outer_jacobian_strategy}")
    xs = _tensors("hessian", "inputs", inputs)
    transform = jacrev if outer_jacobian_strategy == "reverse-mode" else jacfwd
    numbers = tuple(range(len(xs)))
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
            _check_strict(grad(_scalar("hessian", func), numbers), xs)
        blocks = transform(grad(_scalar("hessian", func), numbers), numbers)(*xs)
    return blocks[0][0] if isinstance(inputs, Tensor) else blocks


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, the product of `v` with the Jacobian). `v` has the outputs' shapes; None for one element."""
    from ..func import vjp as transform

    xs = _tensors("vjp", "inputs", inputs)
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
        out, product = transform(_checked("vjp", func), *xs)
        weights = _direction("vjp", v, out)
        return out, _single(product(weights[0] if isinstance(out, Tensor) else tuple(weights)), inputs)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, the product of the Jacobian with `v`). `v` has the inputs' shapes; None for an input of one element."""
    from ..func import jvp as transform

    xs = _tensors("jvp", "inputs", inputs)
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
        return transform(_checked("jvp", func), tuple(xs), tuple(_direction("jvp", v, inputs)))


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, the product of the Hessian with `v`) of a function with a single element."""
    from ..func import grad_and_value
    from ..func import jvp as transform

    xs = _tensors("hvp", "inputs", inputs)
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
        both = grad_and_value(_scalar("hvp", func), tuple(range(len(xs))))
        _, product, out = transform(both, tuple(xs), tuple(_direction("hvp", v, inputs)), has_aux=True)
        return out, _single(product, inputs)


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, the product of `v` with the Hessian) of a function with a single element."""
    from ..func import grad_and_value
    from ..func import vjp as transform

    xs = _tensors("vhp", "inputs", inputs)
    with set_grad_enabled(create_graph and mode.grad):
        if strict:
            _check_strict(func, xs)
        both = grad_and_value(_scalar("vhp", func), tuple(range(len(xs))))
        _, product, out = transform(both, *xs, has_aux=True)
        return out, _single(product(tuple(_direction("vhp", v, inputs))), inputs)


def _tensors(name: str, what: str, given: Any) -> list[Tensor]:
    found = [given] if isinstance(given, Tensor) else list(given) if isinstance(given, (tuple, list)) else [given]
    for i, x in enumerate(found):
        if not isinstance(x, Tensor):
            raise TypeError(f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value "
                            f"at index {i} has type {type(x)}.")
    return found


def _checked(name: str, func: Callable) -> Callable:
    """`func`, whose outputs must be a tensor or a tuple of them."""
    def call(*xs):
        out = func(*xs)
        _tensors(name, "outputs of the user-provided function", out)
        return tuple(out) if isinstance(out, list) else out
    return call


def _scalar(name: str, func: Callable) -> Callable:
    """`func`, whose single output must have a single element; as a tensor without axes."""
    def call(*xs):
        out = func(*xs)
        if isinstance(out, (tuple, list)) and len(out) == 1:
            out = out[0]
        if not isinstance(out, Tensor):
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if out.numel() != 1:
            raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
        return out.reshape(())
    return call


def _direction(name: str, v: Any, like: Any) -> list[Tensor]:
    """The vector's tensors. Raises RuntimeError where they do not fit."""
    wanted = _tensors(name, "inputs", like)
    if v is None:
        if len(wanted) != 1 or wanted[0].numel() != 1:
            raise RuntimeError(f"{name}: The vector v can only be None if the user-provided function returns a single "
                               "Tensor with a single element, or takes one")
        return [FUNCTIONS["ones_like"](wanted[0])]
    given = _tensors(name, "v", v)
    if len(given) != len(wanted):
        raise RuntimeError(f"{name}: v is a tuple of invalid length: should be {len(wanted)} but got {len(given)}.")
    for i, (t, x) in enumerate(zip(given, wanted)):
        if tuple(t.shape) != tuple(x.shape):
            raise RuntimeError(f"{name}: Entry {i} of v has invalid size: should be {x.shape} but got {t.shape}.")
    return given


def _alone(blocks: Any, inputs: Any) -> Any:
    """The Jacobians, without the tuple over inputs where a single tensor was given."""
    if not isinstance(inputs, Tensor):
        return blocks
    return tuple([row[0] for row in blocks]) if isinstance(blocks[0], tuple) else blocks[0]


def _single(results: tuple, inputs: Any) -> Any:
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _check_strict(func: Callable, xs: list[Tensor]) -> None:
    """Raise RuntimeError where an output of `func` has no path to an input."""
    from . import grad

    with enable_grad():
        points = [x.detach().requires_grad_() for x in xs]
        out = func(*points)
        for i, y in enumerate([out] if isinstance(out, Tensor) else out):
            if not y.requires_grad:
                raise RuntimeError(f"Output {i} of the user-provided function does not require gradient. The outputs "
                                   "must be computed in a differentiable manner from the input when running in strict "
                                   "mode.")
            found = grad(y, points, FUNCTIONS["ones_like"](y), retain_graph=True, allow_unused=True)
            for j, g in enumerate(found):
                if g is None:
                    raise RuntimeError(f"Output {i} of the user-provided function is independent of input {j}. This "
                                       "is not allowed in strict mode.")
