"""Optimizer steps on the CPU: one pass over the memory of a parameter, its gradient and its state."""
from __future__ import annotations

import math

import numpy as np

from .. import parallel
from .jit import jit

PART = 1 << 16  # numbers in a part
WORK = 8  # operations a number costs, about


def sgd_step(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    sign = -1 if maximize else 1
    if momentum:
        _run(_sgd_momentum, (p, g, buf), (lr, momentum, 1 - dampening, weight_decay, sign, nesterov, first))
    else:
        _run(_sgd, (p, g), (lr, weight_decay, sign))


def adam_step(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    size, root = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    numbers = (size, root, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1 if maximize else 1)
    if amsgrad:
        _run(_adam_max, (p, g, m, v, vmax), numbers)
    else:
        _run(_adam, (p, g, m, v), numbers)


def adagrad_step(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize):
    rate = lr / (1 + (step - 1) * lr_decay)
    _run(_adagrad, (p, g, total), (rate, eps, weight_decay, -1 if maximize else 1))


def rmsprop_step(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    unused = np.empty(0, p.dtype)
    arrays = (p, g, v, mean if centered else unused, buf if momentum > 0 else unused)
    _run(_rmsprop, arrays, (lr, alpha, 1 - alpha, eps, weight_decay, momentum, -1 if maximize else 1))


def _run(kernel, arrays, numbers):
    """`kernel` on the flat arrays, in parts where they are large. All numbers go as floats: one signature a dtype."""
    arrays = [a.ravel() for a in arrays]  # a view: only g may lie in memory in another order
    numbers = [float(n) for n in numbers]
    size = arrays[0].size
    if size <= PART:
        kernel(*arrays, *numbers)
        return
    cuts = parallel.chunks(size, PART)
    parallel.run(lambda i: kernel(*[a[cuts[i]] for a in arrays], *numbers), len(cuts), WORK * size)


@jit
def _gradient(p, g, decay, sign):
    """One number of the gradient to descend along."""
    d = sign * g
    return d + decay * p if decay != 0 else d


@jit
def _lerp(a, b, w, rest):
    """rest a + w b with rest = 1 - w, exact at both ends."""
    return a + w * (b - a) if w < rest else b - rest * (b - a)


@jit
def _sgd(p, g, lr, decay, sign):
    number = p.dtype.type
    lr, decay, sign = number(lr), number(decay), number(sign)
    for i in range(p.size):
        p[i] -= lr * _gradient(p[i], g[i], decay, sign)


@jit
def _sgd_momentum(p, g, buf, lr, momentum, share, decay, sign, nesterov, first):
    number = p.dtype.type
    lr, momentum, share, decay, sign = number(lr), number(momentum), number(share), number(decay), number(sign)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        b = d if first else momentum * buf[i] + share * d
        buf[i] = b
        p[i] -= lr * (d + momentum * b if nesterov else b)


@jit
def _adam(p, g, m, v, size, root, w1, beta2, w2, eps, decay, shrink, sign):
    number = p.dtype.type
    size, root, eps, shrink = number(size), number(root), number(eps), number(shrink)
    w1, rest1, beta2, w2 = number(w1), number(1 - w1), number(beta2), number(w2)
    decay, sign = number(decay), number(sign)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        m[i] = _lerp(m[i], d, w1, rest1)
        v[i] = beta2 * v[i] + w2 * d * d
        p[i] = p[i] * shrink - size * m[i] / (np.sqrt(v[i]) / root + eps)


@jit
def _adam_max(p, g, m, v, vmax, size, root, w1, beta2, w2, eps, decay, shrink, sign):
    number = p.dtype.type
    size, root, eps, shrink = number(size), number(root), number(eps), number(shrink)
    w1, rest1, beta2, w2 = number(w1), number(1 - w1), number(beta2), number(w2)
    decay, sign = number(decay), number(sign)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        m[i] = _lerp(m[i], d, w1, rest1)
        v[i] = beta2 * v[i] + w2 * d * d
        vmax[i] = vmax[i] if vmax[i] > v[i] else v[i]
        p[i] = p[i] * shrink - size * m[i] / (np.sqrt(vmax[i]) / root + eps)


@jit
def _adagrad(p, g, total, rate, eps, decay, sign):
    number = p.dtype.type
    rate, eps, decay, sign = number(rate), number(eps), number(decay), number(sign)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        total[i] += d * d
        p[i] -= rate * d / (np.sqrt(total[i]) + eps)


@jit
def _rmsprop(p, g, v, mean, buf, lr, alpha, share, eps, decay, momentum, sign):
    """An empty `mean` or `buf` stands for an option that is off."""
    number = p.dtype.type
    lr, alpha, share, eps = number(lr), number(alpha), number(share), number(eps)
    decay, momentum, sign = number(decay), number(momentum), number(sign)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        v[i] = alpha * v[i] + share * d * d
        square = v[i]
        if mean.size:
            mean[i] = _lerp(mean[i], d, share, alpha)
            square -= mean[i] * mean[i]
        d /= np.sqrt(square) + eps
        if buf.size:
            d += momentum * buf[i]
            buf[i] = d
        p[i] -= lr * d
