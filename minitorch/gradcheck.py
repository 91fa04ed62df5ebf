"""Proof of gradients: backward against numerical derivatives, first and second order."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes
from .tensor import Tensor


def gradcheck(func: Callable, inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              check_grad_dtypes: bool = False, check_batched_grad: bool = False,
              check_batched_forward_grad: bool = False, check_forward_ad: bool = False, check_backward_ad: bool = True,
              fast_mode: bool = False, masked: bool | None = None) -> bool:
    """Whether backward of `func` agrees with central differences in every element of every input.

    The forward mode is two backward passes here, and a batched gradient is one gradient after the other: with
    `check_forward_ad` and its like, or without `check_backward_ad`, the same derivatives are checked.
    `inputs` are float64 tensors with requires_grad. `fast_mode` checks one random direction instead of the whole
    Jacobian. Two backward passes may differ by `nondet_tol`. `check_undefined_grad`: backward must also do without
    the gradient of one output, or of all, and count it as zero; `check_grad_dtypes`: a gradient must have the type of
    its input. `masked` is about sparse inputs, which are refused. Raises RuntimeError, or returns False without
    `raise_exception`, where they differ.

    >>> from minitorch import tensor, float64
    >>> gradcheck(lambda x: x * x, [tensor([1.0, 2.0], dtype=float64, requires_grad=True)])
    True
    """
    from .autograd import grad

    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [x for x in inputs if isinstance(x, Tensor) and x._requires_grad]
    if any([x.is_sparse for x in checked]):
        raise NotImplementedError(f"gradcheck: is not there for sparse inputs (masked={masked}); check a function of "
                                  "their values instead")
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them does")
    for i, x in enumerate(inputs):
        if isinstance(x, Tensor) and x._requires_grad and x.dtype not in (dtypes.float64, dtypes.complex128):
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating point or complex: it "
                          f"is {x.dtype}. This check will likely fail: differences drown in rounding.", stacklevel=2)
    rng = np.random.default_rng(0)
    try:
        outputs = _outputs(func, inputs)
        for number, y in enumerate(outputs):
            if not y._requires_grad:
                continue
            for position, x in enumerate(checked):
                name = f"output {number}, input {position} of shape {tuple(x.shape)}"
                _check_nothing_lost(name, y, x, func, inputs, number, rng, eps, atol, rtol, fast_mode, grad)
                _check_repeats(name, y, x, nondet_tol, check_grad_dtypes, grad)
        if check_undefined_grad:
            _check_undefined(func, inputs, checked, grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable, inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5,
                  rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True,
                  nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
                  check_batched_grad: bool = False, check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
                  fast_mode: bool = False, masked: bool = False) -> bool:
    """`gradcheck` of the gradients of `func`: its second derivatives.

    Without `grad_outputs` they are random; `gen_non_contig_grad_outputs` asks for such with gaps in their memory.
    """
    from .autograd import grad

    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = _outputs(func, inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        gap = 2 if gen_non_contig_grad_outputs else 1
        grad_outputs = [Tensor._wrap(rng.standard_normal((*y._array.shape, gap))[..., 0]) for y in outputs]
        for g in grad_outputs:
            g.requires_grad = True
    weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def gradients(*arguments):
        xs, dys = arguments[:len(inputs)], arguments[len(inputs):]
        ys = _outputs(func, xs)
        pairs = [(y, dy) for y, dy in zip(ys, dys) if y._requires_grad]
        wanted = [x for x in xs if isinstance(x, Tensor) and x._requires_grad]
        found = grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g._requires_grad)

    if not any(g._requires_grad for g in gradients(*inputs, *weights)):
        return True  # the gradients are constants
    return gradcheck(gradients, [*inputs, *weights], eps=eps, atol=atol, rtol=rtol, fast_mode=fast_mode,
                     raise_exception=raise_exception, nondet_tol=nondet_tol, check_grad_dtypes=check_grad_dtypes,
                     check_undefined_grad=check_undefined_grad, masked=masked)


class GradcheckError(RuntimeError):
    """Backward and the numerical derivative differ."""


def _check_nothing_lost(name, y, x, func, inputs, number, rng, eps, atol, rtol, fast, grad) -> None:
    """Compare d(sum(v * y))/dx with differences: for every v = one element, or for one random v and direction."""
    def value():
        return np.asarray(_outputs(func, inputs)[number]._array).copy()

    basis = [rng.standard_normal(y._array.shape)] if fast else _unit_arrays(y._array.shape)
    rows = []
    for v in basis:
        found, = grad(y, x, Tensor._wrap(np.asarray(v, y._array.dtype)), retain_graph=True, allow_unused=True)
        rows.append(np.zeros(x._array.shape) if found is None else np.asarray(found._array))
    if fast:
        direction = rng.standard_normal(x._array.shape)
        analytic = np.array([[np.sum(rows[0] * direction)]])
        numeric = np.array([[np.sum(basis[0] * _difference(value, x, direction, eps))]])
    else:
        analytic = np.array(rows).reshape(len(basis), -1)
        columns = [_difference(value, x, d, eps).reshape(-1) for d in _unit_arrays(x._array.shape)]
        numeric = np.array(columns).T.reshape(len(basis), len(columns))
    if not np.allclose(analytic, numeric, rtol, atol, equal_nan=True):
        worst = np.max(np.abs(analytic - numeric))
        raise GradcheckError(f"Jacobian mismatch for {name}: largest difference {worst:.3g}\n"
                             f"numerical:\n{numeric}\nanalytical:\n{analytic}")


def _check_repeats(name: str, y: Tensor, x: Tensor, tol: float, typed: bool, grad: Callable) -> None:
    """Raise where two backward passes give gradients further apart than `tol`, or (`typed`) not of the input's type."""
    ones = Tensor._wrap(np.ones(y._array.shape, y._array.dtype))
    first, second = (grad(y, x, ones, retain_graph=True, allow_unused=True)[0] for _ in range(2))
    if first is not None and first._array.size and np.abs(np.asarray(first._array - second._array)).max() > tol:
        raise GradcheckError(f"Backward is not reentrant, i.e., running backward with same input and grad_output "
                             f"multiple times gives different values for {name}, beyond nondet_tol={tol}")
    if typed and first is not None and first.dtype is not x.dtype:
        raise GradcheckError(f"Gradient has dtype mismatch for {name}: {first.dtype} for an input of {x.dtype}")


def _check_undefined(func: Callable, inputs: Any, checked: list[Tensor], grad: Callable) -> None:
    """Raise where backward fails, or gives anything but zeros, without the gradients of all outputs or of one."""
    ys = [y for y in _outputs(func, inputs) if y._requires_grad]
    if len(ys) > 1:
        for left_out in range(len(ys)):
            given = [y for i, y in enumerate(ys) if i != left_out]
            _check_zero(lambda given=given: grad(given, checked, [_zeros(y) for y in given], retain_graph=True,
                                                 allow_unused=True))
    for node in {id(y.grad_fn): y.grad_fn for y in ys if y.grad_fn is not None}.values():
        if hasattr(node.op, "ctx"):  # only a custom Function is ever called without any gradient
            _check_zero(lambda node=node: node(*[None] * (node.outputs or 1)))


def _check_zero(gradients: Callable) -> None:
    try:
        found = gradients()
    except RuntimeError as error:
        raise GradcheckError("Expected backward function to handle undefined output grads, i.e. None in their place: "
                             f"{error}") from error
    for g in found if isinstance(found, tuple) else (found,):
        if g is not None and bool((g != 0).any()):
            raise GradcheckError("Expected all input grads to be undefined or zero when all output grads are undefined "
                                 f"or zero, got {g}")


def _zeros(y: Tensor) -> Tensor:
    return Tensor._wrap(np.zeros(y._array.shape, y._array.dtype))


def _difference(value: Callable, x: Tensor, direction: np.ndarray, eps: float) -> np.ndarray:
    """The central difference of `value()` along `direction` in `x`, whose memory is changed and restored."""
    before = x._array.copy()
    try:
        x._array[...] = before + eps * direction
        above = value()
        x._array[...] = before - eps * direction
        below = value()
    finally:
        x._array[...] = before
    return (above - below) / (2 * eps)


def _unit_arrays(shape: tuple) -> list[np.ndarray]:
    size = int(np.prod(shape))
    return list(np.eye(size).reshape(size, *shape))


def _outputs(func: Callable, inputs: Any) -> list[Tensor]:
    result = func(*inputs)
    return [result] if isinstance(result, Tensor) else [y for y in result if isinstance(y, Tensor)]
