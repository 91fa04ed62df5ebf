"""What other libraries call the tasks of the entries: what a user of each would write.

ARRAYS is for NumPy, CuPy and JAX: functions of the module and the kernel's own arguments. They are independent of this
project's kernels, and NumPy's, in higher precision, judge those (judge.py).
"""
from __future__ import annotations

from collections.abc import Callable


def _softmax(xp, x, axis):
    e = xp.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _logsumexp(xp, x, axis, keepdims=False):
    top = x.max(axis=axis, keepdims=True)
    y = top + xp.log(xp.exp(x - top).sum(axis=axis, keepdims=True))
    return y if keepdims else xp.squeeze(y, axis)


def _cross_entropy(xp, x, target, *_):
    picked = xp.take_along_axis(x, target[:, None], 1)[:, 0]
    return (_logsumexp(xp, x, 1) - picked).mean()


def _windows(xp, x, window, stride, padding):
    """(n, c, out, out, window, window): a view of the padded images."""
    padded = xp.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    view = xp.lib.stride_tricks.sliding_window_view(padded, window, axis=(2, 3))
    return view[:, :, ::stride[0], ::stride[1]]


def _conv2d(xp, x, w, b, stride, padding, dilation, groups):
    y = xp.tensordot(_windows(xp, x, w.shape[2:], stride, padding), w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return y if b is None else y + b[:, None, None]


def _conv2d_dw(xp, dy, x, w_shape, stride, padding, dilation, groups):
    view = _windows(xp, x, w_shape[2:], stride, padding)[:, :, :dy.shape[2], :dy.shape[3]]
    return xp.tensordot(dy, view, ((0, 2, 3), (0, 2, 3)))


def _conv2d_dx(xp, dy, w, x_shape, stride, padding, dilation, groups):
    n, c, height, width = x_shape
    dx = xp.zeros((n, c, height + 2 * padding[0], width + 2 * padding[1]), dy.dtype)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            rows = slice(i, i + stride[0] * dy.shape[2], stride[0])
            columns = slice(j, j + stride[1] * dy.shape[3], stride[1])
            dx[:, :, rows, columns] += xp.tensordot(dy, w[:, :, i, j], ((1,), (0,))).transpose(0, 3, 1, 2)
    return dx[:, :, padding[0]:padding[0] + height, padding[1]:padding[1] + width]


def _layer_norm(xp, x, w, b, _, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / xp.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * w + b


def _rms_norm(xp, x, w, _, eps):
    return x / xp.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def _batch_norm(xp, x, w, b, eps):
    centred = x - x.mean((0, 2, 3), keepdims=True)
    y = centred / xp.sqrt((centred * centred).mean((0, 2, 3), keepdims=True) + eps)
    return y * w[:, None, None] + b[:, None, None]


def _pooled(xp, x):
    """Windows of 2 x 2 as the last dimension; an odd last row or column is in none."""
    n, c, h, w = x.shape
    quarters = x[:, :, :h // 2 * 2, :w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)
    return quarters.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)


def _attention(xp, q, k, v, _):
    """Causal; (batch, time, head, width)."""
    q, k, v = (a.transpose(0, 2, 1, 3) for a in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / xp.sqrt(xp.asarray(q.shape[-1], q.dtype))
    later = xp.triu(xp.ones(scores.shape[-2:], bool), 1)
    return (_softmax(xp, xp.where(later, -xp.inf, scores), -1) @ v).transpose(0, 2, 1, 3)


def _adam(xp, count, g, p, m, v, decay=0.0):
    """Kingma and Ba, 2015, algorithm 1; with `decay` as Loshchilov and Hutter, 2019, write it."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    step = m / (1 - 0.9 ** count) / (xp.sqrt(v / (1 - 0.999 ** count)) + 1e-8)
    return p * (1 - 1e-3 * decay) - 1e-3 * step, m, v


def _adamw(xp, count, g, p, m, v):
    return _adam(xp, count, g, p, m, v, 0.01)


def _sgd(xp, count, g, p, buf, _):
    """Momentum 0.9, from nothing."""
    buf = 0.9 * buf + g
    return p - 1e-3 * buf, buf, _


def _gelu(xp, x, approximate):
    if approximate != "tanh":
        raise NotImplementedError("no erf")
    return 0.5 * x * (1 + xp.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


STEPS = ("Adam", "AdamW", "SGD")  # tasks that keep a state from call to call
TASKS = (*STEPS, "attention")  # programs that have an expression

ARRAYS: dict[str, Callable] = {
    "matmul": lambda xp, a, b: a @ b,
    "linear": lambda xp, x, w, b: x @ w.T + b,
    "linear_relu": lambda xp, x, w, b: xp.maximum(x @ w.T + b, 0),
    "conv2d": _conv2d, "conv2d_dx": _conv2d_dx, "conv2d_dw": _conv2d_dw,
    "add": lambda xp, a, b: a + b, "mul": lambda xp, a, b: a * b, "sub": lambda xp, a, b: a - b,
    "div": lambda xp, a, b: a / b,
    "exp": lambda xp, x: xp.exp(x), "log": lambda xp, x: xp.log(x), "sqrt": lambda xp, x: xp.sqrt(x),
    "sin": lambda xp, x: xp.sin(x), "cos": lambda xp, x: xp.cos(x), "tanh": lambda xp, x: xp.tanh(x),
    "relu": lambda xp, x: xp.maximum(x, 0), "sigmoid": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "silu": lambda xp, x: x / (1 + xp.exp(-x)), "gelu": _gelu,
    "relu_dx": lambda xp, dy, y: dy * (y > 0), "sigmoid_dx": lambda xp, dy, y: dy * y * (1 - y),
    "tanh_dx": lambda xp, dy, y: dy * (1 - y * y),
    "sum": lambda xp, x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims),
    "cumsum": lambda xp, x, axis: xp.cumsum(x, axis=axis),
    "softmax": _softmax, "log_softmax": lambda xp, x, axis: x - _logsumexp(xp, x, axis, True), "logsumexp": _logsumexp,
    "softmax_dx": lambda xp, dy, y, axis: y * (dy - (dy * y).sum(axis=axis, keepdims=True)),
    "cross_entropy": _cross_entropy,
    "layer_norm": _layer_norm, "rms_norm": _rms_norm, "batch_norm": _batch_norm,
    "max_pool": lambda xp, x, *_: _pooled(xp, x).max(-1), "avg_pool": lambda xp, x, *_: _pooled(xp, x).mean(-1),
    "gather": lambda xp, x, index, axis: xp.take_along_axis(x, index, axis),
    "attention": _attention, "Adam": _adam, "AdamW": _adamw, "SGD": _sgd,
}


# Expressions of JAX's own, where it has better ones

def _jax_conv2d(jnp, x, w, b, stride, padding, dilation, groups):
    from jax import lax

    y = lax.conv_general_dilated(x, w, stride, [(p, p) for p in padding], rhs_dilation=dilation,
                                 feature_group_count=groups)
    return y if b is None else y + b[:, None, None]


def _jax_conv2d_dx(jnp, dy, w, x_shape, *setting):
    import jax

    return jax.vjp(lambda x: _jax_conv2d(jnp, x, w, None, *setting), jnp.zeros(x_shape, dy.dtype))[1](dy)[0]


def _jax_conv2d_dw(jnp, dy, x, w_shape, *setting):
    import jax

    return jax.vjp(lambda w: _jax_conv2d(jnp, x, w, None, *setting), jnp.zeros(w_shape, dy.dtype))[1](dy)[0]


def _jax_gelu(jnp, x, approximate):
    import jax

    return jax.nn.gelu(x, approximate=approximate == "tanh")


JAX: dict[str, Callable] = {"conv2d": _jax_conv2d, "conv2d_dx": _jax_conv2d_dx, "conv2d_dw": _jax_conv2d_dw,
                            "gelu": _jax_gelu}


# Expressions of tinygrad

def _tiny_adam(count, gradients, states, decay=0.0):
    count.assign(count + 1)
    for g, (p, m, v) in zip(gradients, states):
        m.assign(0.9 * m + 0.1 * g)
        v.assign(0.999 * v + 0.001 * g * g)
        step = m / (1 - 0.9 ** count) / ((v / (1 - 0.999 ** count)).sqrt() + 1e-8)
        p.assign(p * (1 - 1e-3 * decay) - 1e-3 * step)
    count.realize(*(array for state in states for array in state))


def _tiny_sgd(count, gradients, states):
    for g, (p, buf, _) in zip(gradients, states):
        buf.assign(0.9 * buf + g)
        p.assign(p - 1e-3 * buf)
    count.realize(*(array for p, buf, _ in states for array in (p, buf)))


def _tiny_attention(q, k, v, _):
    q, k, v = (a.transpose(1, 2) for a in (q, k, v))
    return q.scaled_dot_product_attention(k, v, is_causal=True).transpose(1, 2)


TINYGRAD: dict[str, Callable] = {
    "matmul": lambda a, b: a @ b,
    "linear": lambda x, w, b: x @ w.transpose() + b, "linear_relu": lambda x, w, b: (x @ w.transpose() + b).relu(),
    "conv2d": lambda x, w, b, stride, padding, dilation, groups: x.conv2d(w, b, groups, stride, dilation, padding),
    "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "sub": lambda a, b: a - b, "div": lambda a, b: a / b,
    **{name: (lambda x, name=name: getattr(x, name)()) for name in (
        "exp", "log", "sqrt", "sin", "cos", "tanh", "relu", "sigmoid", "silu")},
    "sum": lambda x, axis, keepdims: x.sum(axis, keepdim=keepdims), "cumsum": lambda x, axis: x.cumsum(axis),
    "softmax": lambda x, axis: x.softmax(axis), "log_softmax": lambda x, axis: x.log_softmax(axis),
    "logsumexp": lambda x, axis, keepdims: x.logsumexp(axis, keepdims),
    "cross_entropy": lambda x, target, *_: x.sparse_categorical_crossentropy(target),
    "layer_norm": lambda x, w, b, _, eps: x.layernorm(eps=eps) * w + b,
    "max_pool": lambda x, *_: x.max_pool2d((2, 2)), "avg_pool": lambda x, *_: x.avg_pool2d((2, 2)),
    "attention": _tiny_attention, "Adam": _tiny_adam,
    "AdamW": lambda count, g, states: _tiny_adam(count, g, states, 0.01),
    "SGD": _tiny_sgd,
}
