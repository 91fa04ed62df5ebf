"""Optimizer steps on the CPU: one launch and one pass over memory for all parameters of a group.

All numbers of a group's parameters are one long line, which is cut into parts of PART: a part may hold many small
parameters, or a piece of a large one. The launch gets a `table` of int64: where each parameter ends on that line, and
the identities of its array, its gradient's and those of its state. An identity is where the array object lies in
memory, and there, after what all objects begin with, stands the address of the numbers: compiled code reads it in a
nanosecond, Python in a thousand.
"""
from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from .jit import exactly, jit
from .tasks import task

PART = 1 << 16  # numbers in a part
WORK = 8  # operations a number costs, about
HEAD = object.__basicsize__  # where in an array object its address stands: first after what all objects have


def sgd_step(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    sgd_steps([p], [g], [buf], lr, momentum, dampening, weight_decay, nesterov, maximize, [first])


def sgd_steps(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first, memo=None):
    sign = -1 if maximize else 1
    if momentum:
        _run(_sgd_momentum, (p, g, buf), (lr, momentum, 1 - dampening, weight_decay, sign, nesterov), (first,), memo)
    else:
        _run(_sgd, (p, g), (lr, weight_decay, sign), (), memo)


def adam_step(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    adam_steps([p], [g], [m], [v], [vmax], [step], lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize)


def adam_steps(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize, memo=None):
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    roots = {t: math.sqrt(1 - beta2**t) for t in set(step)}
    corrections = {t: (lr * root / (1 - beta1**t), eps * root) for t, root in roots.items()}
    _run(_adam, (p, g, m, v, vmax if amsgrad else None),
         (1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1 if maximize else 1),
         tuple(zip(*[corrections[t] for t in step])), memo)


def adagrad_step(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize):
    adagrad_steps([p], [g], [total], [step], lr, lr_decay, eps, weight_decay, maximize)


def adagrad_steps(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize, memo=None):
    rates = [lr / (1 + (t - 1) * lr_decay) for t in step]
    _run(_adagrad, (p, g, total), (eps, weight_decay, -1 if maximize else 1), (rates,), memo)


def rmsprop_step(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    rmsprop_steps([p], [g], [v], [mean], [buf], lr, alpha, eps, weight_decay, momentum, centered, maximize)


def rmsprop_steps(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize, memo=None):
    _run(_rmsprop, (p, g, v, mean if centered else None, buf if momentum > 0 else None),
         (lr, alpha, 1 - alpha, eps, weight_decay, momentum, -1 if maximize else 1), (), memo)


def adamax_step(p, g, m, top, step, lr, beta1, beta2, eps, weight_decay, maximize):
    _run(_adamax, ([p], [g], [m], [top]), (1 - beta1, beta2, eps, weight_decay, -1 if maximize else 1),
         ([lr / (1 - beta1**step)],))


def adadelta_step(p, g, v, u, lr, rho, eps, weight_decay, maximize):
    _run(_adadelta, ([p], [g], [v], [u]), (lr, rho, 1 - rho, eps, weight_decay, -1 if maximize else 1))


def _run(kernel, arrays, numbers, own=(), memo=None):
    """`kernel` for lists of arrays: parameters, gradients, states; `own` has lists of numbers, one a parameter.

    All numbers go as floats: one signature a dtype.
    """
    p, g = arrays[:2]
    for i, one in enumerate(g):
        if not one.flags.c_contiguous:
            g = [*g[:i], np.ascontiguousarray(one), *g[i + 1:]]
    if memo and kernel in memo:
        table, like, size = memo[kernel]
        table[2] = [*map(id, g)]
    else:
        ends = list(accumulate([one.size for one in p]))
        none = [0] * len(p)
        table = np.array([ends, *[none if some is None else [*map(id, some)] for some in (p, g, *arrays[2:])]])
        like, size = p[0].reshape(-1)[:0], ends[-1]
        if memo:
            memo[kernel] = table, like, size
    kernel(-(-size // PART), WORK * size, table, like, np.array(own, float) if own else _NONE, *map(float, numbers))


_NONE = np.empty((0, 0))


@intrinsic
def _pointer(typingctx, address, like):
    """A pointer to numbers of the dtype of `like`."""
    kind = types.CPointer(like.dtype)

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.int64, like), codegen


@exactly
def _gradient(p, g, decay, sign):
    """One number of the gradient to descend along."""
    d = sign * g
    decayed = d + decay * p  # made in any case: a branch would be taken again for each vector
    return decayed if decay != 0 else d


@exactly
def _lerp(a, b, w, rest):
    """rest a + w b with rest = 1 - w, exact at both ends."""
    near = w < rest
    return (a if near else b) + (w if near else -rest) * (b - a)


@jit
def _settled(x, tiny):
    """x, or zero where it is below `tiny`: processors take many times as long over subnormal numbers.

    A moving average becomes one some hundred steps after its gradients end (a dead ReLU, a word that no longer comes),
    and for good: 0.9 times the least number rounds to itself.
    """
    return type(x)(0) if abs(x) < tiny else x


@jit
def _tiny_square(like, eps):
    """Below which squares become zero: where they are subnormal, if their root does not show beside eps."""
    tiny = np.finfo(like.dtype).tiny
    return like.dtype.type(tiny if eps > 2.0**30 * np.sqrt(tiny) else 0)


@jit
def _array(table, row, t, part, like):
    """What `part` has of array `row` of parameter `t`; empty where the array was None."""
    begin = max(table[0, t - 1] if t else 0, part * PART)
    size = min(table[0, t], (part + 1) * PART) - begin
    place = table[row, t]
    if size <= 0 or place == 0:
        return carray(_pointer(np.int64(0), like), 0)
    begin -= table[0, t - 1] if t else 0
    address = carray(_pointer(place + HEAD, table), 1)[0] + begin * like.itemsize
    return carray(_pointer(address, like), size)


@task
def _sgd(part, table, like, own, lr, decay, sign):
    number = like.dtype.type
    lr, decay, sign = number(lr), number(decay), number(sign)
    for t in range(table.shape[1]):
        p, g = _array(table, 1, t, part, like), _array(table, 2, t, part, like)
        for i in range(p.size):
            p[i] -= lr * _gradient(p[i], g[i], decay, sign)


@task
def _sgd_momentum(part, table, like, own, lr, momentum, share, decay, sign, nesterov):
    number = like.dtype.type
    lr, momentum, share, decay, sign = number(lr), number(momentum), number(share), number(decay), number(sign)
    tiny = np.finfo(like.dtype).tiny
    for t in range(table.shape[1]):
        p, g, buf = _array(table, 1, t, part, like), _array(table, 2, t, part, like), _array(table, 3, t, part, like)
        first = own[0, t]
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, sign)
            b = d if first else momentum * buf[i] + share * d
            buf[i] = _settled(b, tiny)
            p[i] -= lr * (d + momentum * b if nesterov else b)


@task
def _adam(part, table, like, own, w1, beta2, w2, eps, decay, shrink, sign):
    """An empty `vmax` stands for amsgrad switched off.

    The bias corrections stand in lr and eps: lr / c1 m / (sqrt(v) / c2 + eps) is lr c2 / c1 m / (sqrt(v) + eps c2),
    with one division instead of two.
    """
    number = like.dtype.type
    tiny, tiny_square = np.finfo(like.dtype).tiny, _tiny_square(like, eps)
    w1, rest1, beta2, w2 = number(w1), number(1 - w1), number(beta2), number(w2)
    shrink, decay, sign = number(shrink), number(decay), number(sign)
    for t in range(table.shape[1]):
        p, g, m = _array(table, 1, t, part, like), _array(table, 2, t, part, like), _array(table, 3, t, part, like)
        v, vmax = _array(table, 4, t, part, like), _array(table, 5, t, part, like)
        size, shift = number(own[0, t]), number(own[1, t])
        if vmax.size:
            for i in range(p.size):
                d = _gradient(p[i], g[i], decay, sign)
                m[i] = _settled(_lerp(m[i], d, w1, rest1), tiny)
                v[i] = _settled(beta2 * v[i] + w2 * d * d, tiny_square)
                vmax[i] = vmax[i] if vmax[i] > v[i] else v[i]
                p[i] = p[i] * shrink - size * m[i] / (np.sqrt(vmax[i]) + shift)
        else:
            for i in range(p.size):
                d = _gradient(p[i], g[i], decay, sign)
                m[i] = _settled(_lerp(m[i], d, w1, rest1), tiny)
                v[i] = _settled(beta2 * v[i] + w2 * d * d, tiny_square)
                p[i] = p[i] * shrink - size * m[i] / (np.sqrt(v[i]) + shift)


@task
def _adagrad(part, table, like, own, eps, decay, sign):
    number = like.dtype.type
    eps, decay, sign = number(eps), number(decay), number(sign)
    for t in range(table.shape[1]):
        p, g, total = _array(table, 1, t, part, like), _array(table, 2, t, part, like), _array(table, 3, t, part, like)
        rate = number(own[0, t])
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, sign)
            total[i] += d * d
            p[i] -= rate * d / (np.sqrt(total[i]) + eps)


@task
def _rmsprop(part, table, like, own, lr, alpha, share, eps, decay, momentum, sign):
    number = like.dtype.type
    for t in range(table.shape[1]):
        p, g, v = _array(table, 1, t, part, like), _array(table, 2, t, part, like), _array(table, 3, t, part, like)
        mean, buf = _array(table, 4, t, part, like), _array(table, 5, t, part, like)
        _rmsprop_line(p, g, v, mean, buf, number(lr), number(alpha), number(share), number(eps), number(decay),
                      number(momentum), number(sign))


@jit
def _rmsprop_line(p, g, v, mean, buf, lr, alpha, share, eps, decay, momentum, sign):
    """An empty `mean` or `buf` stands for an option that is off: a loop that asked for it would not become vectors."""
    tiny, tiny_square, squares = np.finfo(p.dtype).tiny, _tiny_square(p, eps), np.empty_like(p)
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, sign)
        v[i] = _settled(alpha * v[i] + share * d * d, tiny_square)
        squares[i] = v[i]
    for i in range(mean.size):
        mean[i] = _settled(_lerp(mean[i], _gradient(p[i], g[i], decay, sign), share, alpha), tiny)
        squares[i] -= mean[i] * mean[i]
    if buf.size:
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, sign) / (np.sqrt(squares[i]) + eps)
            buf[i] = _settled(d + momentum * buf[i], tiny)
            p[i] -= lr * buf[i]
    else:
        for i in range(p.size):
            p[i] -= lr * (_gradient(p[i], g[i], decay, sign) / (np.sqrt(squares[i]) + eps))


@task
def _adamax(part, table, like, own, w1, beta2, eps, decay, sign):
    number, tiny = like.dtype.type, np.finfo(like.dtype).tiny
    w1, rest1, beta2, eps, decay, sign = (number(w1), number(1 - w1), number(beta2), number(eps), number(decay),
                                          number(sign))
    for t in range(table.shape[1]):
        p, g = _array(table, 1, t, part, like), _array(table, 2, t, part, like)
        m, top, size = _array(table, 3, t, part, like), _array(table, 4, t, part, like), number(own[0, t])
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, sign)
            m[i] = _settled(_lerp(m[i], d, w1, rest1), tiny)
            before, now = beta2 * top[i], abs(d) + eps
            top[i] = now if now > before or now != now else before
            p[i] -= size * m[i] / top[i]


@task
def _adadelta(part, table, like, own, lr, rho, share, eps, decay, sign):
    number, tiny_square = like.dtype.type, _tiny_square(like, eps)
    lr, rho, share, eps, decay, sign = (number(lr), number(rho), number(share), number(eps), number(decay),
                                        number(sign))
    for t in range(table.shape[1]):
        p, g = _array(table, 1, t, part, like), _array(table, 2, t, part, like)
        v, u = _array(table, 3, t, part, like), _array(table, 4, t, part, like)
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, sign)
            v[i] = _settled(rho * v[i] + share * d * d, tiny_square)
            delta = np.sqrt(u[i] + eps) / np.sqrt(v[i] + eps) * d
            u[i] = _settled(rho * u[i] + share * delta * delta, tiny_square)
            p[i] -= lr * delta
