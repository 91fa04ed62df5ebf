"""Optimizer steps, and what is done to gradients before them: the kernels that write into their arguments.

`p` is the parameter and `g` its gradient, which stays as it is; the other arrays, of p's shape and dtype, are the
optimizer's state, or None where an option leaves them unused. `weight_decay` adds the gradient of an L2 penalty, or,
where it is `decoupled`, shrinks p directly; `maximize` climbs instead of descending. The formulae, and the order of
their operations, are those of PyTorch's one-tensor versions. `step` counts from 1.
"""
from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from operator import is_
from typing import Any

import numpy as np

from .table import kernel


@kernel
def sgd_step(xp, p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """Stochastic gradient descent with momentum; Sutskever et al., "On the importance of initialization", 2013.

    p -= lr b, b = momentum b + (1 - dampening) g; with `nesterov` p -= lr (g + momentum b)

    `first` starts the momentum buffer with the gradient itself.
    """
    g = _gradient(p, g, weight_decay, maximize)
    if momentum:
        buf[...] = g if first else momentum * buf + (1 - dampening) * g
        g = g + momentum * buf if nesterov else buf
    p[...] = p - lr * g


@kernel
def sgd_steps(xp, p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first, memo=None):
    """`sgd_step` for several parameters: `p`, `g`, `buf` (None without momentum) and `first` are lists.

    `memo` is a dict that the caller keeps from step to step, for what need not be found out again while `p` is the
    same list of the same arrays.
    """
    for a in zip(p, g, buf or p, first or p):
        sgd_step(xp, *a[:3], lr, momentum, dampening, weight_decay, nesterov, maximize, a[3])


@kernel
def adam_step(xp, p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    """Adam (Kingma and Ba, 2015), AdamW where `decoupled` (Loshchilov and Hutter, 2019), AMSGrad (Reddi et al., 2018).

    p -= lr m̂ / (√v̂ + eps), with m̂ = m / (1 - beta1^step) and v̂ = v / (1 - beta2^step)

    `m` and `v` are the running means of g and g², `vmax` the largest v so far.
    """
    g = _decayed(p, g, lr, weight_decay, decoupled, maximize)
    _moments(m, v, g, beta1, beta2)
    if amsgrad:
        vmax[...] = xp.maximum(vmax, v)
    root = xp.sqrt(vmax if amsgrad else v) / math.sqrt(1 - beta2**step) + eps
    p[...] = p - lr / (1 - beta1**step) * m / root


@kernel
def adam_steps(xp, p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize,
               memo=None):
    """`adam_step` for several parameters: `p`, `g`, `m`, `v`, `vmax` (None without amsgrad) and `step` are lists.

    `memo`: as for `sgd_steps`.
    """
    for a in zip(p, g, m, v, vmax or v, step):
        adam_step(xp, *a, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize)


@kernel
def adagrad_step(xp, p, g, total, step, lr, lr_decay, eps, weight_decay, maximize):
    """Adagrad; Duchi et al., "Adaptive subgradient methods", 2011. `total` is the sum of g².

    p -= lr / (1 + (step - 1) lr_decay) g / (√total + eps)
    """
    g = _gradient(p, g, weight_decay, maximize)
    total[...] = total + g * g
    p[...] = p - lr / (1 + (step - 1) * lr_decay) * g / (xp.sqrt(total) + eps)


@kernel
def adagrad_steps(xp, p, g, total, step, lr, lr_decay, eps, weight_decay, maximize, memo=None):
    """`adagrad_step` for several parameters: `p`, `g`, `total` and `step` are lists. `memo`: as for `sgd_steps`."""
    for a in zip(p, g, total, step):
        adagrad_step(xp, *a, lr, lr_decay, eps, weight_decay, maximize)


@kernel
def rmsprop_step(xp, p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    """RMSprop (Hinton's lecture 6e, 2012), with Graves' centring (2013): `mean` is the running mean of g, `v` of g².

    p -= lr g / (√(v - mean²) + eps), with mean 0 unless `centered`
    """
    g = _gradient(p, g, weight_decay, maximize)
    v[...] = alpha * v + (1 - alpha) * g * g
    if centered:
        mean[...] = _lerp(mean, g, 1 - alpha)
    root = xp.sqrt(v - mean * mean if centered else v) + eps
    if momentum > 0:
        buf[...] = momentum * buf + g / root
        p[...] = p - lr * buf
    else:
        p[...] = p - lr * g / root


@kernel
def rmsprop_steps(xp, p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize, memo=None):
    """`rmsprop_step` for several parameters: `p`, `g`, `v`, `mean` and `buf` (None where they are off) are lists.

    `memo`: as for `sgd_steps`.
    """
    for a in zip(p, g, v, mean or v, buf or v):
        rmsprop_step(xp, *a, lr, alpha, eps, weight_decay, momentum, centered, maximize)


@kernel
def adamax_step(xp, p, g, m, top, step, lr, beta1, beta2, eps, weight_decay, maximize):
    """Adamax, Adam with the infinity norm; Kingma and Ba, 2015. `top` is the decaying maximum of |g|.

    p -= lr / (1 - beta1^step) m / top
    """
    g = _gradient(p, g, weight_decay, maximize)
    m[...] = _lerp(m, g, 1 - beta1)
    top[...] = xp.maximum(beta2 * top, xp.abs(g) + eps)
    p[...] = p - lr / (1 - beta1**step) * m / top


@kernel
def nadam_step(xp, p, g, m, v, step, mu, mu_next, mu_product, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    """Adam with Nesterov's momentum; Dozat, 2016. This step's momentum, the next one's, and the product so far."""
    g = _decayed(p, g, lr, weight_decay, decoupled, maximize)
    _moments(m, v, g, beta1, beta2)
    root = xp.sqrt(v / (1 - beta2**step)) + eps
    p[...] = p - lr * (1 - mu) / (1 - mu_product) * g / root
    p[...] = p - lr * mu_next / (1 - mu_product * mu_next) * m / root


@kernel
def radam_step(xp, p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    """Adam with a rectified variance: plain momentum while few steps make it unreliable; Liu et al., 2020."""
    g = _decayed(p, g, lr, weight_decay, decoupled, maximize)
    _moments(m, v, g, beta1, beta2)
    update = m / (1 - beta1**step) * lr
    rho_inf = 2 / (1 - beta2) - 1  # the length of the moving average in the limit, and now
    rho = rho_inf - 2 * step * beta2**step / (1 - beta2**step)
    if rho > 5:
        rectified = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        update = update * (math.sqrt(1 - beta2**step) / (xp.sqrt(v) + eps)) * rectified
    p[...] = p - update


@kernel
def adadelta_step(xp, p, g, v, u, lr, rho, eps, weight_decay, maximize):
    """Adadelta; Zeiler, 2012. `v` and `u` are the running means of g² and of the squared updates.

    p -= lr √(u + eps) / √(v + eps) g
    """
    g = _gradient(p, g, weight_decay, maximize)
    v[...] = rho * v + (1 - rho) * g * g
    delta = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
    u[...] = rho * u + (1 - rho) * delta * delta
    p[...] = p - lr * delta


@kernel
def asgd_step(xp, p, g, mean, eta, mu, lambd, weight_decay, maximize):
    """Averaged SGD (Polyak and Juditsky, 1992) at the rate `eta`, with decay `lambd`; `mean` follows p by `mu`."""
    g = _gradient(p, g, weight_decay, maximize)
    p[...] = p * (1 - lambd * eta) - eta * g
    mean[...] = p if mu == 1 else mean + (p - mean) * mu


@kernel
def rprop_step(xp, p, g, before, size, minus, plus, smallest, largest, maximize):
    """Resilient backpropagation; Riedmiller and Braun, 1993: only the signs of the gradients count.

    `before` is the last gradient, `size` how far each number moves: `plus` times further while the sign stays.
    """
    g = -g if maximize else g
    turn = g * before
    size[...] = xp.minimum(xp.maximum(xp.where(turn > 0, plus * size, xp.where(turn < 0, minus * size, size)),
                                      smallest), largest)
    before[...] = xp.where(turn < 0, xp.zeros((1,), p.dtype), g)  # after a turn, wait a step
    p[...] = p - xp.sign(before) * size


@kernel
def unscale_grads(xp, g, factor):
    """Multiply each array of the list `g` by `factor`, in place; gives whether an element is infinite or NaN then."""
    infinite = False
    for a in g:
        a *= a.dtype.type(factor)
        infinite = infinite | ~xp.isfinite(a).all()
    return infinite


@kernel
def total_norm(xp, g, order):
    """The norm of that order of all arrays of the list `g` as if they were one vector, in the first one's dtype."""
    norms = [_norm(xp, a, order) for a in g]
    if order == math.inf:
        total = max(norms, key=lambda v: (v != v, v))  # a NaN wins
    else:
        total = sum(v ** order for v in norms) ** (1 / order)
    return xp.asarray(total, g[0].dtype)


@kernel
def shorten_grads(xp, g, total, longest):
    """Multiply each array of the list `g` by longest / total, in place, unless `total`, their norm, is no longer.

    Gives whether it has written. Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent networks", 2013.
    """
    factor = float(longest) / (float(total) + 1e-6)
    if factor >= 1:
        return False
    for a in g:
        a *= a.dtype.type(factor)
    return True


@kernel
def clamp_grads(xp, g, bound):
    """Bring all elements of the arrays of the list `g` into [-bound, bound], in place."""
    for a in g:
        xp.clip(a, -bound, bound, out=a)


def _norm(xp, a, order):
    """The norm of all elements: for order 2 one pass, a product of the vector with itself."""
    flat = a.reshape(-1)
    if order == 2 and a.dtype.char in "fd":
        square = float(flat.dot(flat))
        if 1e-30 < square < math.inf:  # otherwise squares have left float32's range
            return math.sqrt(square)
    flat = xp.abs(flat.astype("float64"))
    if not flat.size:
        return 0.0
    if order == math.inf:
        return float(flat.max())
    return float(xp.sum(flat ** order)) ** (1 / order) if order else float(xp.count_nonzero(flat))


def _gradient(p, g, weight_decay, maximize):
    """The gradient to descend along."""
    g = -g if maximize else g
    return g + weight_decay * p if weight_decay else g


def _decayed(p, g, lr, weight_decay, decoupled, maximize):
    """The same, where the decay may be of p itself."""
    if not decoupled:
        return _gradient(p, g, weight_decay, maximize)
    if weight_decay:
        p[...] = p * (1 - lr * weight_decay)
    return -g if maximize else g


def _moments(m, v, g, beta1, beta2):
    m[...] = _lerp(m, g, 1 - beta1)
    v[...] = beta2 * v + (1 - beta2) * g * g


def _lerp(a, b, w):
    """(1 - w) a + w b, exact at both ends."""
    return a + w * (b - a) if w < 0.5 else b - (1 - w) * (b - a)


def _refuses(states: int, unlike: Callable) -> Callable[..., str | None]:
    """A predicate for a step with so many state arrays: all must lie in memory as p does."""

    def refuses(p: Any, g: Any, *arguments: Any, **options: Any) -> str | None:
        return unlike(p.dtype, p, g, *arguments[:states])

    return refuses


def _refuses_lists(states: int, unlike: Callable) -> Callable[..., str | None]:
    """The same for lists of parameters, which are of one dtype."""

    def refuses(p: Any, g: Any, *arguments: Any, memo: dict | None = None) -> str | None:
        if not isinstance(p, list) or not p:
            return "lists of at least one parameter only"
        state = [arrays for arrays in arguments[:states] if arrays]
        kind, dtype = type(p[0]), p[0].dtype
        if memo and memo["p"] is p and _same(state, memo["state"]):
            for one, shape in zip(g, memo["shapes"]):
                if type(one) is not kind or one.dtype != dtype or one.shape != shape:
                    break
            else:
                return None
        for arrays in zip(p, g, *state):
            reason = unlike(dtype, *arrays)
            if reason:
                return reason
        if memo is not None:
            memo.clear()
            memo.update(p=p, state=state, shapes=[one.shape for one in p])
        return None

    return refuses


def _same(state: list[list], before: list[list]) -> bool:
    """Whether these are the same arrays, in lists of lists."""
    return len(state) == len(before) and not any([not all(map(is_, a, b)) for a, b in zip(state, before)])


def _unlike(dtype: Any, p: Any, g: Any, *states: Any) -> str | None:
    if not (isinstance(p, np.ndarray) and isinstance(g, np.ndarray)):
        return "arrays only"  # no scalars: compiled code reads these very objects
    if dtype.char not in "fd" or p.dtype != dtype:
        return "float32 and float64, one of both, only"
    return _apart(dtype, p, g, *states) or \
        (None if _addresses_stand_first() else "array objects that begin with their address only")


def _unlike_on_gpu(dtype: Any, p: Any, g: Any, *states: Any) -> str | None:
    return _apart(dtype, p, g, *states) if dtype.char in "fdeE" else "float16, bfloat16, float32 and float64 only"


def _apart(dtype: Any, p: Any, g: Any, *states: Any) -> str | None:
    """Why the arrays are not of one kind, laid out as compiled steps want them."""
    if p.dtype != dtype or g.dtype != dtype or g.shape != p.shape:
        return "p and g of one dtype and shape only"
    if not p.flags.c_contiguous:
        return "a contiguous parameter only"
    for a in states:
        if a is None:
            continue
        if not (type(a) is type(p) and a.shape == p.shape and a.dtype == dtype and a.flags.c_contiguous):
            return "contiguous state of p's dtype and shape only"
    return None


def _refuses_gradients(g: Any, *numbers: Any) -> str | None:
    """What the GPU's kernels for lists of gradients leave to the reference."""
    if not isinstance(g, list) or not g or g[0].dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    if not all([a.dtype == g[0].dtype and a.flags.c_contiguous for a in g]):
        return "contiguous arrays of one dtype only"
    return None


def _refuses_norm(g: Any, order: Any) -> str | None:
    return _refuses_gradients(g) or (None if order in (2, math.inf) else "orders 2 and inf only")


def _refuses_shorten(g: Any, total: Any, longest: Any) -> str | None:
    reason = _refuses_gradients(g)
    return reason or (None if total.dtype == g[0].dtype else "a norm of the gradients' dtype only")


@cache
def _addresses_stand_first() -> bool:
    """Whether an array object holds its address where the compiled steps read it: so in CPython, with NumPy 1 and 2."""
    probe = np.empty(1)
    return ctypes.c_void_p.from_address(id(probe) + object.__basicsize__).value == probe.ctypes.data


for _entry, _states in ((sgd_step, 1), (adam_step, 3), (adagrad_step, 1), (rmsprop_step, 3),
                        (sgd_steps, 1), (adam_steps, 3), (adagrad_steps, 1), (rmsprop_steps, 3)):
    _refusing = _refuses_lists if _entry.name.endswith("s") else _refuses
    for _name, _device, _check in (("numba", "cpu", _unlike), ("cuda", "cuda", _unlike_on_gpu)):
        _entry.version(_name, _device, f"minitorch_kernels.{_device}.optim:{_entry.name}", _refusing(_states, _check))
for _entry in (adamax_step, adadelta_step):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.optim:{_entry.name}", _refuses(2, _unlike))
for _entry, _predicate in ((unscale_grads, _refuses_gradients), (clamp_grads, _refuses_gradients),
                           (total_norm, _refuses_norm), (shorten_grads, _refuses_shorten)):
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.optim:{_entry.name}", refuses=_predicate)
