"""What kernels.py measures: one entry a kernel and size. The sizes are those of the models in models.py.

An entry is either a kernel of the table, called with arrays, beside an expression of PyTorch with the same
arguments as tensors; or a `program`, which is written once in PyTorch's API and run in both frameworks.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

CURVED = 20  # operations counted for exp, tanh, erf, log and the like: a polynomial, and what prepares its argument
BLAS_SQUARE, BLAS_FLAT, CONV = 0.95, 1.0, 1.2  # the parts of the rival's rate to reach


class Case(NamedTuple):
    family: str
    kernel: str  # of the table; for a program, the one that does its work
    arguments: Callable[[Source], tuple]
    theirs: Callable | None = None  # (torch, *arguments as tensors) -> what the kernel's first results must equal
    program: Callable | None = None  # (framework, *arguments as tensors) -> a function without arguments
    flops: float = 0  # operations that the result needs
    moved: float | None = None  # bytes, where not each argument is read once and each result written once
    pattern: str = ""  # of access, in limits.py; by default "read" or "write", by the size of the results
    label: str = ""  # instead of the arrays' shapes
    version: str = "auto"
    target: float | None = None
    tolerance: float = 1e-4  # largest difference, relative to the largest number of the result


class Source:
    """Arrays of random numbers, the same in every run."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return self.rng.standard_normal(shape, np.float32)

    def positive(self, *shape: int) -> np.ndarray:
        return np.abs(self(*shape)) + np.float32(0.1)

    def below(self, end: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, end, shape)


HIDDEN = (2048, 1024)  # GPT: batch x time, four times the width
IMAGES = (100, 64, 30, 30)  # CNN of seed 002 5.2, after its first convolution
POOLED = (100, 128, 28, 28)  # and before its pooling
MAPS = (64, 16, 32, 32)  # ResNet-20's first stage
ROWS = (2048, 256)  # GPT: batch x time, width
LOGITS = (1024, 10_000)  # the recurrent model: batch x time, words
WINDOW = ((2, 2), (2, 2), (0, 0))


@cache
def blank(torch: Any, shape: tuple) -> Any:
    """A tensor where PyTorch asks for one and reads its shape alone."""
    return torch.empty(shape)


def aten(torch: Any) -> Any:
    return torch.ops.aten


def functional(torch: Any) -> Any:
    return torch.nn.functional


def elementwise(kernel: str, theirs: Callable, shape: tuple, flops: float, arrays: int = 1, *more: Any,
                positive: bool = False) -> Case:
    """A kernel of so many arrays of one shape."""
    return Case("elementwise", kernel, lambda r: (*((r.positive if positive else r)(*shape) for _ in range(arrays)),
                                                  *more), theirs, flops=flops * math.prod(shape))


def products() -> Iterator[Case]:
    squares = [(n, n, n, BLAS_SQUARE) for n in (256, 512, 1024, 2048)]
    for m, k, n, target in [*squares, (64, 1000, 500, BLAS_FLAT), (128, 3072, 768, BLAS_FLAT)]:
        for letters in ("NN", "NT", "TN", "TT"):
            for version in ("auto", "numba"):
                yield Case("matmul", "matmul", _operands(m, k, n, letters), lambda torch, a, b: torch.matmul(a, b),
                           flops=2 * m * k * n, label=f"{m} x {k} x {n} {letters}", version=version, target=target)


def _operands(m: int, k: int, n: int, letters: str) -> Callable[[Source], tuple]:
    """a (m, k) and b (k, n); T: they lie in memory as their transposes."""
    return lambda r: (r(m, k) if letters[0] == "N" else r(k, m).T, r(k, n) if letters[1] == "N" else r(n, k).T)


def convolutions() -> Iterator[Case]:
    for n, c, size, o, window, padding, stride in [
            (100, 3, 32, 64, 3, 0, 1), (100, 64, 30, 128, 3, 0, 1), (64, 16, 32, 16, 3, 1, 1), (64, 64, 8, 64, 3, 1, 1),
            (16, 256, 56, 64, 1, 0, 1), (16, 3, 224, 64, 7, 3, 2)]:
        out = (size + 2 * padding - window) // stride + 1
        x, w, y = (n, c, size, size), (o, c, window, window), (n, o, out, out)
        setting = (stride,) * 2, (padding,) * 2, (1, 1), 1
        label = f"{'x'.join(map(str, x))}, {'x'.join(map(str, w))}, padding {padding}, stride {stride}"
        arrays: list[tuple[str, Callable, Callable]] = [
            ("conv2d", lambda r, x=x, w=w, s=setting: (r(*x), r(*w), None, *s),
             lambda torch, *a: functional(torch).conv2d(*a)),
            ("conv2d_dx", lambda r, x=x, w=w, y=y, s=setting: (r(*y), r(*w), x, *s),
             lambda t, dy, w, x, *s: _gradients(t, dy, blank(t, x), w, s, [True, False, False])[0]),
            ("conv2d_dw", lambda r, x=x, w=w, y=y, s=setting: (r(*y), r(*x), w, *s),
             lambda t, dy, x, w, *s: _gradients(t, dy, x, blank(t, w), s, [False, True, False])[1])]
        for kernel, arguments, theirs in arrays:
            yield Case("conv", kernel, arguments, theirs, flops=2 * math.prod(y) * c * window**2, label=label,
                       target=CONV, tolerance=1e-3)


def _gradients(torch: Any, dy: Any, x: Any, w: Any, setting: tuple, wanted: list[bool]) -> tuple:
    """PyTorch's gradients of x, w and the bias; where x or w is not needed, its shape alone counts."""
    stride, padding, dilation, groups = setting
    return aten(torch).convolution_backward(dy, x, w, None, stride, padding, dilation, False, [0, 0], groups, wanted)


def optimizer(name: str, shapes: list[tuple], **options: Any) -> Callable:
    """A program: a step for parameters of these shapes. PyTorch's fused step is its fastest."""

    def program(torch: Any, *arrays: Any) -> Callable:
        half = len(arrays) // 2
        parameters = [torch.nn.Parameter(a.clone()) for a in arrays[:half]]
        for p, g in zip(parameters, arrays[half:]):
            p.grad = g
        step = getattr(torch.optim, name)(parameters, lr=1e-3, **options).step

        def run() -> list:
            step()
            return parameters

        return run

    return program


def optimizers() -> Iterator[Case]:
    """One large parameter, fc1 of seed 002 5.2, and ResNet-20's many small ones."""
    small = [shape for width, layers in ((16, 7), (32, 6), (64, 6)) for shape in [(width, width, 3, 3)] * layers
             + [(width,)] * (2 * layers + 2)]
    for kernel, name, states, flops, options in [
            ("sgd_steps", "SGD", 1, 4, {"momentum": 0.9, "fused": True}),
            ("adam_steps", "Adam", 2, 12, {"fused": True}), ("adam_steps", "AdamW", 2, 14, {"fused": True}),
            ("adagrad_step", "Adagrad", 1, 6, {}), ("rmsprop_step", "RMSprop", 1, 7, {})]:
        for label, shapes in (("256x25088", [(256, 25088)]), (f"{len(small)} of ResNet-20", small)):
            count = sum(map(math.prod, shapes))
            yield Case("optim", kernel, lambda r, s=shapes: (*(r(*a) for a in s), *(r(*a) for a in s)),
                       program=optimizer(name, shapes, **options), flops=flops * count,
                       moved=4 * count * (3 + 2 * states), pattern="update", label=f"{name}, {label}")


def single_steps() -> Iterator[Case]:
    """The steps of one parameter, which the table keeps beside those of many."""
    shape, adam = (256, 25088), {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    count, plain = math.prod(shape), {"weight_decay": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}

    def sgd(t: Any, p: Any, g: Any, buf: Any, lr: float, momentum: float, *_: Any) -> tuple:
        t._fused_sgd_([p], [g], [buf], lr=lr, momentum=momentum, is_first_step=False, **plain)
        return p, g, buf

    def adams(t: Any, p: Any, g: Any, m: Any, v: Any, *_: Any) -> tuple:
        t._fused_adam_([p], [g], [m], [v], [], [t.tensor(1.0)], amsgrad=False, maximize=False, **adam)
        return p, g, m, v

    yield Case("optim", "sgd_step", lambda r: (r(*shape), r(*shape), r(*shape), 1e-3, 0.9, 0.0, 0.0, *[False] * 3),
               sgd, flops=4 * count, moved=20 * count, pattern="update", label="one parameter of 256x25088")
    yield Case("optim", "adam_step", lambda r: (r(*shape), r(*shape), r(*shape), r.positive(*shape), None, 1,
                                                *adam.values(), False, False, False),
               adams, flops=12 * count, moved=28 * count, pattern="update", label="one parameter of 256x25088")


def dropout(backward: bool) -> Callable:
    def program(torch: Any, x: Any, dy: Any) -> Callable:
        torch.manual_seed(0)
        x.requires_grad_(backward)

        def run() -> Any:
            y = torch.nn.functional.dropout(x, 0.5, True)
            return torch.autograd.grad(y, [x], dy) if backward else y

        return run

    return program


def attention(backward: bool) -> Callable:
    """A program: q, k and v lie in memory as (batch, time, head, width), as a linear layer leaves them."""

    def program(torch: Any, *arrays: Any) -> Callable:
        q, k, v, dy = (a.requires_grad_(backward) for a in arrays)

        def run() -> Any:
            heads = [a.transpose(1, 2) for a in (q, k, v)]
            y = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2)
            return torch.autograd.grad(y, [q, k, v], dy) if backward else y

        return run

    return program


def attentions() -> Iterator[Case]:
    for batch, time, heads, width in [(8, 256, 8, 32), (4, 1024, 12, 64)]:
        shape = (batch, time, heads, width)
        flops = 2 * batch * heads * time * time * width  # half of the products: causal
        for backward in (False, True):
            yield Case("attention", "attention_backward" if backward else "attention",
                       lambda r, s=shape: tuple(r(*s) for _ in range(4)), program=attention(backward),
                       flops=flops * (3.5 if backward else 1), moved=4 * math.prod(shape) * (9 if backward else 4),
                       label="{}x{}x{}x{}, causal{}".format(*shape, ", forward and backward" * backward))


def recurrent(layer: str, backward: bool) -> Callable:
    def program(torch: Any, x: Any, dy: Any) -> Callable:
        torch.manual_seed(0)
        net = getattr(torch.nn, layer)(x.shape[2], dy.shape[2], batch_first=True)
        x.requires_grad_(backward)
        wanted = [x, *net.parameters()]

        def run() -> Any:
            if backward:
                return torch.autograd.grad(net(x)[0], wanted, dy)
            with torch.no_grad():
                return net(x)[0]

        return run

    return program


def recurrences() -> Iterator[Case]:
    batch, time, inputs, units = 16, 64, 256, 512
    for layer, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
        flops = 2 * batch * time * gates * units * (inputs + units)
        for backward in (False, True):
            yield Case("recurrent", "recurrent_backward" if backward else "recurrent",
                       lambda r: (r(batch, time, inputs), r(batch, time, units)), program=recurrent(layer, backward),
                       flops=flops * (3 if backward else 1), moved=0, tolerance=1e-3,
                       label=f"{layer}, 16x64x256 to 512" + ", forward and backward" * backward)


def loss(torch: Any, x: Any, target: Any) -> Callable:
    x.requires_grad_()
    return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, target), [x])


def moments(x: np.ndarray, axes: tuple) -> tuple[np.ndarray, np.ndarray]:
    """What a normalisation saves: the mean and 1 / sqrt(var + 1e-5)."""
    return x.mean(axes), 1 / np.sqrt(x.var(axes) + np.float32(1e-5))


def with_moments(dy: np.ndarray, x: np.ndarray, axes: tuple, wide: bool) -> tuple:
    stats = moments(x, axes)
    return dy, x, tuple(s[:, None] for s in stats) if wide else stats


def norms() -> Iterator[Case]:
    eps, (rows, width), (n, c, h, w) = 1e-5, ROWS, MAPS
    ones = [True] * 3
    size, maps = rows * width, n * c * h * w
    yield Case("norm", "layer_norm", lambda r: (r(*ROWS), r(width), r(width), 1, eps),
               lambda t, x, w, b, _, e: aten(t).native_layer_norm(x, [width], w, b, e)[0], flops=8 * size)
    yield Case("norm", "layer_norm_backward",
               lambda r: (lambda dy, x, s: (dy, x, r(width), 1, eps, s))(*with_moments(r(*ROWS), r(*ROWS), (1,), True)),
               lambda t, dy, x, w, _, e, s: aten(t).native_layer_norm_backward(dy, x, [width], *s, w, w, ones),
               flops=14 * size)
    yield Case("norm", "rms_norm", lambda r: (r(*ROWS), r(width), 1, eps),
               lambda t, x, w, _, e: functional(t).rms_norm(x, (width,), w, e), flops=5 * size)
    yield Case("norm", "rms_norm_backward", lambda r: (r(*ROWS), r(*ROWS), r(width), 1, eps), flops=11 * size)
    yield Case("norm", "batch_norm", lambda r: (r(*MAPS), r(c), r(c), eps),
               lambda t, x, w, b, e: aten(t).native_batch_norm(x, w, b, None, None, True, 0.1, e)[0], flops=7 * maps)
    yield Case("norm", "batch_norm_backward",
               lambda r: (lambda dy, x, s: (dy, x, r(c), eps, s))(*with_moments(r(*MAPS), r(*MAPS), (0, 2, 3), False)),
               lambda t, dy, x, w, e, s: aten(t).native_batch_norm_backward(dy, x, w, None, None, *s, True, e, ones),
               flops=11 * maps)
    yield Case("norm", "batch_norm_apply", lambda r: (r(*MAPS), r(c), r(c), r(c), r.positive(c), eps),
               lambda t, x, w, b, m, v, e: functional(t).batch_norm(x, m, v, w, b, False, 0.1, e), flops=2 * maps)
    yield Case("norm", "batch_norm_apply_backward", lambda r: (r(*MAPS), r(*MAPS), r(c), r(c), r.positive(c), eps),
               lambda t, dy, x, w, m, v, e: aten(t).native_batch_norm_backward(dy, x, w, m, v, None, None, False, e,
                                                                              ones), flops=6 * maps)
    yield Case("norm", "group_norm", lambda r: (r(*MAPS), r(c), r(c), 4, eps),
               lambda t, x, w, b, g, e: functional(t).group_norm(x, g, w, b, e), flops=8 * maps)
    yield Case("norm", "group_norm_backward", _group_norm_arguments,
               lambda t, dy, x, weight, g, e, s: aten(t).native_group_norm_backward(dy, x, *s, weight, n, c, h * w, g,
                                                                                   ones), flops=14 * maps)


def _group_norm_arguments(r: Source) -> tuple:
    dy, x, w = r(*MAPS), r(*MAPS), r(MAPS[1])
    return dy, x, w, 4, 1e-5, moments(x.reshape(MAPS[0], 4, -1), (2,))


def pooling() -> Iterator[Case]:
    n, c, h, w = POOLED
    y, size = (n, c, h // 2, w // 2), math.prod(POOLED)
    yield Case("pooling", "max_pool", lambda r: (r(*POOLED), *WINDOW, (1, 1), False),
               lambda t, x, *a: functional(t).max_pool2d(x, *a, return_indices=True), flops=size)
    yield Case("pooling", "max_pool_dx", lambda r: (r(*y), _places(r, y, w), POOLED),
               lambda t, dy, index, x: aten(t).max_pool2d_with_indices_backward(dy, blank(t, x), *WINDOW, [1, 1], False,
                                                                               index), flops=size / 4)
    yield Case("pooling", "avg_pool", lambda r: (r(*POOLED), *WINDOW, False, True, None),
               lambda t, x, *a: functional(t).avg_pool2d(x, *a), flops=size)
    yield Case("pooling", "avg_pool_dx", lambda r: (r(*y), POOLED, *WINDOW, False, True, None),
               lambda t, dy, x, *a: aten(t).avg_pool2d_backward(dy, blank(t, x), *a), flops=size)
    last = (64, 64, 8, 8)  # ResNet-20
    yield Case("pooling", "adaptive_avg_pool", lambda r: (r(*last), (1, 1)),
               lambda t, x, out: functional(t).adaptive_avg_pool2d(x, out), flops=math.prod(last))
    yield Case("pooling", "adaptive_avg_pool_dx", lambda r: (r(64, 64, 1, 1), last),
               lambda t, dy, x: aten(t)._adaptive_avg_pool2d_backward(dy, blank(t, x)), flops=math.prod(last))
    yield Case("pooling", "adaptive_max_pool", lambda r: (r(*POOLED), (7, 7)),
               lambda t, x, out: functional(t).adaptive_max_pool2d(x, out, return_indices=True), flops=size)


def _places(r: Source, y: tuple, width: int) -> np.ndarray:
    """Positions that max pooling by 2 x 2 may give for an output of shape y."""
    row, column = np.ogrid[:y[2], :y[3]]
    within = r.below(4, *y)
    return (2 * row + within // 2) * width + 2 * column + within % 2


def tables() -> Iterator[Case]:
    words, width, count = 10_000, 256, 1024
    yield Case("indexing", "embedding_dw", lambda r: (r(count, width), r.below(words, count), (words, width)),
               lambda t, dy, index, _: aten(t).embedding_dense_backward(dy, index, words, -1, False),
               flops=count * width)
    yield Case("indexing", "add_rows", lambda r: (r(2048, 256), r.below(65, 2048), 65),
               lambda t, rows, index, n: t.zeros(n, 256).index_add_(0, index, rows), flops=2048 * 256)
    yield Case("indexing", "gather", lambda r: (r(*ROWS), r.below(256, *ROWS), 1),
               lambda t, x, index, axis: t.gather(x, axis, index))
    yield Case("indexing", "gather_dx", lambda r: (r(*ROWS), r.below(256, *ROWS), 1, ROWS),
               lambda t, dy, index, axis, shape: t.zeros(shape).scatter_add_(axis, index, dy), flops=2048 * 256)


def rows() -> Iterator[Case]:
    """Softmax and its kin over GPT's weights of attention and the recurrent model's logits."""
    for shape in ((8, 8, 256, 256), LOGITS):
        size, along = math.prod(shape), len(shape) - 1
        yield Case("softmax", "softmax", lambda r, s=shape, d=along: (r(*s), d), lambda t, x, d: t.softmax(x, d),
                   flops=(CURVED + 4) * size)
        yield Case("softmax", "softmax_dx", lambda r, s=shape, d=along: (r(*s), r.positive(*s), d),
                   lambda t, dy, y, d: aten(t)._softmax_backward_data(dy, y, d, t.float32), flops=4 * size)
        yield Case("softmax", "log_softmax", lambda r, s=shape, d=along: (r(*s), d),
                   lambda t, x, d: t.log_softmax(x, d), flops=(CURVED + 4) * size)
        yield Case("softmax", "log_softmax_dx", lambda r, s=shape, d=along: (r(*s), -r.positive(*s), d),
                   lambda t, dy, y, d: aten(t)._log_softmax_backward_data(dy, y, d, t.float32),
                   flops=(CURVED + 3) * size)
        yield Case("softmax", "logsumexp", lambda r, s=shape, d=along: (r(*s), d, False),
                   lambda t, x, d, keep: t.logsumexp(x, d, keep), flops=(CURVED + 3) * size)


def losses() -> Iterator[Case]:
    count, words = LOGITS
    size, plain = count * words, (None, -100, "mean")
    yield Case("loss", "cross_entropy", lambda r: (r(*LOGITS), r.below(words, count), None, -100, 0.0, "mean"),
               lambda t, x, target, *_: functional(t).cross_entropy(x, target), flops=(CURVED + 3) * size)
    yield Case("loss", "cross_entropy_dx", lambda r: (r(*LOGITS), r.below(words, count)), program=loss,
               flops=(CURVED + 5) * size, label="1024x10000, forward and backward")
    yield Case("loss", "nll_loss", lambda r: (r(*LOGITS), r.below(words, count), *plain),
               lambda t, x, target, *_: functional(t).nll_loss(x, target), moved=20 * count)
    yield Case("loss", "nll_loss_dx", lambda r: (r(1)[0:1].reshape(()), LOGITS, r.below(words, count), *plain),
               lambda t, dy, shape, target, *_: aten(t).nll_loss_backward(
                   dy, blank(t, shape), target, None, 1, -100, t.tensor(float(count))))


CASES: list[Case] = [
    *products(),
    *convolutions(),
    elementwise("add", lambda t, a, b: a + b, HIDDEN, 1, 2),
    elementwise("mul", lambda t, a, b: a * b, IMAGES, 1, 2),
    elementwise("exp", lambda t, x: t.exp(x), HIDDEN, CURVED),
    elementwise("log", lambda t, x: t.log(x), HIDDEN, CURVED, positive=True),
    elementwise("sqrt", lambda t, x: t.sqrt(x), HIDDEN, 1, positive=True),
    elementwise("tanh", lambda t, x: t.tanh(x), HIDDEN, CURVED),
    elementwise("erf", lambda t, x: t.erf(x), HIDDEN, CURVED),
    elementwise("erfc", lambda t, x: t.erfc(x), HIDDEN, CURVED),
    elementwise("lgamma", lambda t, x: t.lgamma(x), HIDDEN, CURVED, positive=True),
    elementwise("relu", lambda t, x: t.relu(x), IMAGES, 1),
    elementwise("relu_dx", lambda t, dy, y: aten(t).threshold_backward(dy, y, 0), IMAGES, 1, 2),
    elementwise("sigmoid", lambda t, x: t.sigmoid(x), HIDDEN, CURVED + 2),
    elementwise("sigmoid_dx", lambda t, dy, y: aten(t).sigmoid_backward(dy, y), HIDDEN, 3, 2),
    elementwise("tanh_dx", lambda t, dy, y: aten(t).tanh_backward(dy, y), HIDDEN, 3, 2),
    elementwise("silu", lambda t, x: functional(t).silu(x), HIDDEN, CURVED + 2),
    elementwise("silu_dx", lambda t, dy, x: aten(t).silu_backward(dy, x), HIDDEN, CURVED + 6, 2),
    elementwise("gelu", lambda t, x, a: functional(t).gelu(x, approximate=a), HIDDEN, CURVED + 3, 1, "none"),
    elementwise("gelu", lambda t, x, a: functional(t).gelu(x, approximate=a), HIDDEN, CURVED + 7, 1, "tanh"),
    elementwise("gelu_dx", lambda t, dy, x, a: aten(t).gelu_backward(dy, x, approximate=a), HIDDEN, 2 * CURVED + 6, 2,
                "none"),
    elementwise("gelu_dx", lambda t, dy, x, a: aten(t).gelu_backward(dy, x, approximate=a), HIDDEN, CURVED + 16, 2,
                "tanh"),
    Case("reduce", "sum", lambda r: (r(*HIDDEN), 0, False), lambda t, x, a, k: x.sum(a, k), flops=2048 * 1024),
    Case("reduce", "sum", lambda r: (r(*HIDDEN), 1, False), lambda t, x, a, k: x.sum(a, k), flops=2048 * 1024),
    Case("reduce", "sum", lambda r: (r(*IMAGES), (0, 2, 3), False), lambda t, x, a, k: x.sum(a, k),
         flops=math.prod(IMAGES)),
    Case("reduce", "cumsum", lambda r: (r(*HIDDEN), 1), lambda t, x, a: x.cumsum(a), flops=2048 * 1024),
    *norms(),
    *rows(),
    *losses(),
    *pooling(),
    *tables(),
    Case("dropout", "dropout", lambda r: (r(*IMAGES), r(*IMAGES)), program=dropout(False),
         moved=8 * math.prod(IMAGES), flops=2 * math.prod(IMAGES), label="100x64x30x30, with its random numbers"),
    Case("dropout", "dropout", lambda r: (r(*IMAGES), r(*IMAGES)), program=dropout(True),
         moved=16 * math.prod(IMAGES), flops=4 * math.prod(IMAGES), label="100x64x30x30, forward and backward"),
    Case("dropout", "masked_scale", lambda r: (r(*IMAGES), r(*IMAGES) > 0, 2.0),
         lambda t, x, mask, scale: aten(t).native_dropout_backward(x, mask, scale), flops=math.prod(IMAGES)),
    *optimizers(),
    *single_steps(),
    *attentions(),
    *recurrences(),
]

FAMILIES = list(dict.fromkeys(case.family for case in CASES))
