"""Optimizer steps, kernels that no op runs, and what the papers say they do to a parameter and its state."""
import math

import numpy as np

from . import KernelCase, register


def gradient(p, g, weight_decay, maximize):
    """The gradient of what is minimised: the loss, or its negative, and weight_decay |p|² / 2."""
    return (-g if maximize else g) + weight_decay * p


def sgd(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """Sutskever et al. 2013: velocity v = mu v + g; Nesterov's step looks ahead, along g + mu v."""
    g = gradient(p, g, weight_decay, maximize)
    if momentum == 0:
        return {0: p - lr * g}
    v = g if first else momentum * buf + (1 - dampening) * g
    return {0: p - lr * (g + momentum * v if nesterov else v), 2: v}


def adam(p, g, m, v, vmax, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    """Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2; Reddi et al. 2018."""
    g = gradient(p, g, 0 if decoupled else weight_decay, maximize)
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    largest = np.maximum(vmax, v) if amsgrad else v
    m_hat, v_hat = m / (1 - beta1**step), largest / (1 - beta2**step)
    decay = lr * weight_decay * p if decoupled else 0
    return {0: p - decay - lr * m_hat / (np.sqrt(v_hat) + eps), 2: m, 3: v,
            **({4: largest} if amsgrad else {})}


def adagrad(p, g, total, step, lr, lr_decay, eps, weight_decay, maximize):
    """Duchi et al. 2011, figure 1 with a diagonal matrix; the rate falls as 1 / (1 + decay t)."""
    g = gradient(p, g, weight_decay, maximize)
    total = total + g**2
    return {0: p - lr / (1 + lr_decay * (step - 1)) * g / (np.sqrt(total) + eps), 2: total}


def rmsprop(p, g, v, mean, buf, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    """Hinton 2012, lecture 6e; centred: Graves 2013, equations 38 to 41, with eps outside of the root."""
    g = gradient(p, g, weight_decay, maximize)
    after = {2: alpha * v + (1 - alpha) * g**2}
    spread = after[2]
    if centered:
        after[3] = alpha * mean + (1 - alpha) * g
        spread = spread - after[3]**2
    update = g / (np.sqrt(spread) + eps)
    if momentum:
        update = after[4] = momentum * buf + update
    return {**after, 0: p - lr * update}


def adamax(p, g, m, top, step, lr, beta1, beta2, eps, weight_decay, maximize):
    """Kingma and Ba 2015, algorithm 2, with PyTorch's eps beside |g|."""
    g = gradient(p, g, weight_decay, maximize)
    m, top = beta1 * m + (1 - beta1) * g, np.maximum(beta2 * top, np.abs(g) + eps)
    return {0: p - lr / (1 - beta1**step) * m / top, 2: m, 3: top}


def adadelta(p, g, v, u, lr, rho, eps, weight_decay, maximize):
    """Zeiler 2012, algorithm 1, with a rate."""
    g = gradient(p, g, weight_decay, maximize)
    v = rho * v + (1 - rho) * g**2
    update = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    return {0: p - lr * update, 2: v, 3: rho * u + (1 - rho) * update**2}


def calls(states, *numbers):
    """A kernel's calls: each tuple of numbers on a matrix, the last one in awkward shapes and in parts too.

    `states(rng, shape)` makes the arrays between p, g and the numbers; None stands for one that is left out.
    """
    def call(shape, values, dtype, order="C"):
        def make(rng):
            p, g = rng.standard_normal(shape), rng.standard_normal(shape)
            state = [None if s is None else np.asarray(s, dtype) for s in states(rng, shape, *values)]
            return (np.asarray(p, dtype), np.asarray(g, dtype, order=order), *state, *values), {}
        return make

    last, dtypes = numbers[-1], (np.float32, np.float64)
    return [*(call((3, 5), values, dtype) for values in numbers for dtype in dtypes),
            *(call((3, 5), last, dtype, "F") for dtype in dtypes),
            *(call(shape, last, dtype) for shape in ((), (1,), (0, 3), (70_000,)) for dtype in dtypes)]


def sgd_states(rng, shape, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    return [(np.full(shape, np.nan) if first else rng.standard_normal(shape)) if momentum else None]


def adam_states(rng, shape, step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize):
    return [rng.standard_normal(shape), rng.uniform(0, 2, shape),
            rng.uniform(0, 2, shape) if amsgrad else None]


def rmsprop_states(rng, shape, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    mean = rng.standard_normal(shape)
    return [mean**2 + rng.uniform(0.1, 1, shape), mean if centered else None,
            rng.standard_normal(shape) if momentum else None]


# lr, momentum, dampening, weight_decay, nesterov, maximize, first
register(KernelCase("sgd_step", calls(
    sgd_states, (0.1, 0, 0, 0, False, False, False), (0.1, 0, 0, 0.3, False, True, True),
    (0.2, 0.9, 0.5, 0, False, False, True), (0.2, 0.9, 0.5, 0.1, False, True, False),
    (0.1, 0.8, 0, 0.1, True, False, True), (0.1, 0.8, 0, 0.1, True, False, False)), sgd))
# step, lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize
register(KernelCase("adam_step", calls(
    adam_states, (1, 0.1, 0.9, 0.999, 1e-8, 0, False, False, False),
    (7, 0.1, 0.9, 0.99, 1e-3, 0.2, False, False, True),
    (2, 0.1, 0.0, 0.5, 1e-8, 0.2, True, False, False), (3, 0.1, 0.4, 0.9, 1e-8, 0, True, True, True),
    (100, 0.1, 0.9, 0.999, 1e-8, 0.1, False, True, False), (3, 0.1, 0.9, 0.99, 1e-8, 0.1, True, False, True)),
    adam))
# step, lr, lr_decay, eps, weight_decay, maximize
register(KernelCase("adagrad_step", calls(
    lambda rng, shape, *numbers: [rng.uniform(0, 2, shape)], (1, 0.1, 0, 1e-10, 0, False),
    (5, 0.1, 0.3, 1e-10, 0, True),
    (5, 0.1, 0.3, 1e-3, 0.2, False)), adagrad))
# step, lr, beta1, beta2, eps, weight_decay, maximize
register(KernelCase("adamax_step", calls(
    lambda rng, shape, *numbers: [rng.standard_normal(shape), rng.uniform(0, 2, shape)],
    (1, 0.1, 0.9, 0.999, 1e-8, 0, False), (7, 0.1, 0.4, 0.9, 1e-3, 0.2, True)), adamax))
# lr, rho, eps, weight_decay, maximize
register(KernelCase("adadelta_step", calls(
    lambda rng, shape, *numbers: [rng.uniform(0, 2, shape), rng.uniform(0, 2, shape)],
    (1.0, 0.9, 1e-6, 0, False), (0.1, 0.5, 1e-3, 0.2, True)), adadelta))
# lr, alpha, eps, weight_decay, momentum, centered, maximize
register(KernelCase("rmsprop_step", calls(
    rmsprop_states, (0.1, 0.99, 1e-8, 0, 0, False, False), (0.1, 0.9, 1e-3, 0.2, 0, False, True),
    (0.1, 0.4, 1e-8, 0, 0.9, False, False), (0.1, 0.9, 1e-8, 0, 0, True, False),
    (0.1, 0.9, 1e-8, 0.2, 0.9, True, True)), rmsprop))


def together(states, dtype, *numbers, longest=300):
    """A call with several parameters, one of them empty, and their state in lists."""
    def make(rng):
        shapes = [(3, 5), (), (0, 2), (longest,), (1, 17)]
        lists = [[np.asarray(draw(s), dtype) for s in shapes]
                 for draw in (rng.standard_normal, rng.standard_normal, *[lambda s: rng.uniform(0, 2, s)] * states)]
        return (*lists, *numbers), {}
    return make


# What the lists' kernels should do is what the kernels above do for each parameter. 70,000 numbers are several parts
register(KernelCase("sgd_steps", [make for dtype in (np.float32, np.float64) for make in (
    together(0, dtype, None, 0.1, 0, 0, 0.3, False, False, None),
    together(1, dtype, 0.1, 0.9, 0.5, 0.1, False, True, [True, False, False, False, True]),
    together(1, dtype, 0.1, 0.9, 0.5, 0.1, False, True, [True, False, False, False, True], longest=70_000),
    together(1, dtype, 0.1, 0.9, 0, 0, True, False, [False] * 5))]))
register(KernelCase("adagrad_steps", [together(1, dtype, [1, 2, 3, 3, 1], 0.1, 0.3, 1e-3, 0.2, True, longest=n)
                                      for dtype in (np.float32, np.float64) for n in (300, 70_000)]))
register(KernelCase("rmsprop_steps", [make for dtype in (np.float32, np.float64) for make in (
    together(1, dtype, None, None, 0.1, 0.9, 1e-3, 0.2, 0, False, True),
    together(3, dtype, 0.1, 0.9, 1e-3, 0, 0.9, False, False),
    together(3, dtype, 0.1, 0.9, 1e-3, 0, 0.9, False, False, longest=70_000))]))
register(KernelCase("adam_steps", [make for dtype in (np.float32, np.float64) for make in (
    together(2, dtype, None, [1, 2, 3, 3, 1], 0.1, 0.9, 0.99, 1e-3, 0.2, False, False, True),
    together(3, dtype, [4] * 5, 0.1, 0.9, 0.99, 1e-3, 0.2, True, True, False),
    together(3, dtype, [4] * 5, 0.1, 0.9, 0.99, 1e-3, 0.2, True, True, False, longest=70_000))]))


def gradients(dtype, *more):
    """A call with a list of gradients, one of them empty."""
    def make(rng):
        g = [np.asarray(rng.standard_normal(shape), dtype) for shape in ((3, 5), (), (0, 2), (300,))]
        return (g, *[x(dtype) if callable(x) else x for x in more]), {}
    return make


for _name, *_more in (("unscale_grads", 0.25), ("total_norm", 2.0), ("total_norm", math.inf),
                      ("shorten_grads", lambda dtype: np.asarray(17, dtype), 2.5), ("clamp_grads", 0.5)):
    register(KernelCase(_name, [gradients(dtype, *_more) for dtype in (np.float32, np.float64)]))
