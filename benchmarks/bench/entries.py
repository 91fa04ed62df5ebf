"""The entries of all kernels that need more than arrays of one shape, a family after the other."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from . import programs
from .cases import IMAGES, LENGTHS, LOGITS, WIDTHS, Case, Entry, Source, written

BLAS_SQUARE, BLAS_FLAT, CONV = 0.95, 1.0, 1.2  # the parts of the rival's rate to reach

HIDDEN = (2048, 1024)  # GPT: batch x time, four times the width
POOLED = (100, 128, 28, 28)  # and before its pooling
MAPS = (64, 16, 32, 32)  # ResNet-20's first stage
ROWS = (2048, 256)  # GPT: batch x time, width
WEIGHTS = (8, 8, 256, 256)  # GPT's attention
WINDOW = ((2, 2), (2, 2), (0, 0))
EPS = 1e-5


@cache
def blank(torch: Any, shape: tuple, dtype: Any) -> Any:
    """A tensor where PyTorch asks for one and reads its shape alone."""
    return torch.empty(shape, dtype=dtype)


def aten(torch: Any) -> Any:
    return torch.ops.aten


def functional(torch: Any) -> Any:
    return torch.nn.functional


def products() -> Iterator[Entry]:
    squares = {(n, n, n): BLAS_SQUARE for n in (256, 512, 1024, 2048)}
    goals = {**squares, (64, 1000, 500): BLAS_FLAT, (128, 3072, 768): BLAS_FLAT}
    for letters in ("NN", "NT", "TN", "TT"):
        yield Entry("matmul", "matmul", _product(letters), "MxKxN", list(goals), lambda n: (n, n, n),
                    (32, 64, 128, 256, 512, 1024), (1, 1, 1), ("auto", "numba"), goals, variant=letters != "NN")
    for kernel, after in (("linear", lambda t, y: y), ("linear_relu", lambda t, y: t.relu(y))):
        yield Entry("matmul", kernel,
                    lambda m, k, n, after=after: Case(lambda r: (r(m, k), r(n, k), r(n)),
                                                      lambda t, x, w, b: after(t, functional(t).linear(x, w, b))),
                    "MxKxN", [], lambda n: (n, n, n), (32, 64, 128, 256, 512, 1024), (1, 1, 1))


def _product(letters: str) -> Callable[..., Case]:
    """a (m, k) and b (k, n); T: they lie in memory as their transposes."""
    def make(m: int, k: int, n: int) -> Case:
        def arguments(r: Source) -> tuple:
            return r(m, k) if letters[0] == "N" else r(k, m).T, r(k, n) if letters[1] == "N" else r(n, k).T

        name = f"{m}x{k} @ {k}x{n}" + f", {letters}" * (letters != "NN")
        return Case(arguments, lambda t, a, b: t.matmul(a, b), label=name)

    return make


def convolutions() -> Iterator[Entry]:
    fixed = [(100, 3, 32, 64, 3, 0, 1), (100, 64, 30, 128, 3, 0, 1), (64, 16, 32, 16, 3, 1, 1),
             (64, 64, 8, 64, 3, 1, 1), (16, 256, 56, 64, 1, 0, 1), (16, 3, 224, 64, 7, 3, 2)]
    for kernel in ("conv2d", "conv2d_dx", "conv2d_dw"):
        yield Entry("conv", kernel, _convolution(kernel), "NxCxSIZExOUTxWINDOW[xPADDINGxSTRIDE]", fixed,
                    lambda n: (8, n, 16, n, 3, 1, 1), (4, 8, 16, 32, 64, 128), (1, 1, 3, 1, 3, 0, 1), target=CONV)


def _convolution(kernel: str) -> Callable[..., Case]:
    def make(n: int, c: int, size: int, o: int, window: int, padding: int = 0, stride: int = 1) -> Case:
        out = (size + 2 * padding - window) // stride + 1
        if out < 1:
            raise ValueError(f"{kernel}: a window of {window} does not fit into images of {size}, padding {padding}")
        x, w, y = (n, c, size, size), (o, c, window, window), (n, o, out, out)
        s = (stride,) * 2, (padding,) * 2, (1, 1), 1
        name = f"{written(x)}, {written(w)}, padding {padding}, stride {stride}"
        arguments: dict[str, Callable] = {
            "conv2d": lambda r: (r(*x), r(*w), None, *s), "conv2d_dx": lambda r: (r(*y), r(*w), x, *s),
            "conv2d_dw": lambda r: (r(*y), r(*x), w, *s)}
        return Case(arguments[kernel], TORCH_CONV[kernel], label=name, tolerance=1e-3)

    return make


def _gradients(torch: Any, dy: Any, x: Any, w: Any, setting: tuple, wanted: list[bool]) -> tuple:
    """PyTorch's gradients of x, w and the bias; where x or w is not needed, its shape alone counts."""
    stride, padding, dilation, groups = setting
    x, w = (blank(torch, a, dy.dtype) if isinstance(a, tuple) else a for a in (x, w))
    return aten(torch).convolution_backward(dy, x, w, None, stride, padding, dilation, False, [0, 0], groups, wanted)


TORCH_CONV: dict[str, Callable] = {
    "conv2d": lambda t, *a: functional(t).conv2d(*a),
    "conv2d_dx": lambda t, dy, w, x, *s: _gradients(t, dy, x, w, s, [True, False, False])[0],
    "conv2d_dw": lambda t, dy, x, w, *s: _gradients(t, dy, x, w, s, [False, True, False])[1]}


def elementwise(kernel: str, theirs: Callable, shape: tuple, arrays: int = 1, *more: Any,
                positive: bool = False) -> Entry:
    """A kernel of so many arrays of one shape."""
    def make(*s: int) -> Case:
        return Case(lambda r: (*((r.positive if positive else r)(*s) for _ in range(arrays)), *more), theirs)

    return Entry("elementwise", kernel, make, "AxBx...", [shape], lambda n: (n,), LENGTHS, (1,))


def reductions() -> Iterator[Entry]:
    for fixed, axis in ((HIDDEN, 0), (HIDDEN, 1), (IMAGES, (0, 2, 3))):
        def make(*s: int, axis: Any = axis) -> Case:
            if np.max(axis) >= len(s):
                raise ValueError(f"sum: axis {axis} needs more dimensions than {written(s)}")
            return Case(lambda r: (r(*s), axis, False), lambda t, x, a, k: x.sum(a, k),
                        label=f"{written(s)}, axis {axis}")

        def at(n: int, rest: tuple = (256,) if len(fixed) == 2 else (16, 4, 4)) -> tuple:
            return n // 256, *rest

        yield Entry("reduce", "sum", make, "AxBx...", [fixed], at, LENGTHS, (1,) * len(fixed), variant=axis != 0)
    yield Entry("reduce", "cumsum", lambda *s: Case(lambda r: (r(*s), len(s) - 1), lambda t, x, a: x.cumsum(a)),
                "AxBx...", [HIDDEN], lambda n: (n // 256, 256), LENGTHS, (1, 1))


def single_steps() -> Iterator[Entry]:
    """The steps of one parameter, which the table keeps beside those of many."""
    adam = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    plain = {"weight_decay": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}

    def sgd(t: Any, p: Any, g: Any, buf: Any, lr: float, momentum: float, *_: Any) -> tuple:
        t._fused_sgd_([p], [g], [buf], lr=lr, momentum=momentum, is_first_step=False, **plain)
        return p, g, buf

    def adams(t: Any, p: Any, g: Any, m: Any, v: Any, *_: Any) -> tuple:
        t._fused_adam_([p], [g], [m], [v], [], [t.tensor(1.0)], amsgrad=False, maximize=False, **adam)
        return p, g, m, v

    def one(arguments: Callable, theirs: Callable) -> Callable[..., Case]:
        return lambda *s: Case(lambda r: arguments(r, s), theirs, label=f"one parameter of {written(s)}", changes=True)

    kinds: list[tuple[str, Callable, Callable]] = [
            ("sgd_step", lambda r, s: (r(*s), r(*s), r(*s), 1e-3, 0.9, 0.0, 0.0, *[False] * 3), sgd),
            ("adam_step", lambda r, s: (r(*s), r(*s), r(*s), r.positive(*s), None, 1, *adam.values(), *[False] * 3),
             adams)]
    for kernel, arguments, theirs in kinds:
        yield Entry("optim", kernel, one(arguments, theirs), "AxBx...", [(256, 25088)], lambda n: (n,), LENGTHS, (1,))


def masks() -> Iterator[Entry]:
    yield Entry("dropout", "masked_scale", lambda *s: Case(
        lambda r: (r(*s), r(*s) > 0, 2.0), lambda t, x, mask, scale: aten(t).native_dropout_backward(x, mask, scale)),
        "AxBx...", [IMAGES], lambda n: (n,), LENGTHS, (1,))


def moments(x: np.ndarray, axes: tuple) -> tuple[np.ndarray, np.ndarray]:
    """What a normalisation saves: the mean and 1 / sqrt(var + 1e-5)."""
    return x.mean(axes), 1 / np.sqrt(x.var(axes) + x.dtype.type(EPS))


def _with_moments(dy: np.ndarray, x: np.ndarray, axes: tuple) -> tuple:
    stats = moments(x, axes)
    return dy, x, tuple(s[:, None] for s in stats) if len(axes) == 1 else stats


def norms() -> Iterator[Entry]:
    """Layer and RMS norm over rows, batch and group norm over maps."""
    rows: tuple = "ROWSxWIDTH", [ROWS], lambda n: (256, n), WIDTHS, (1, 2)
    maps: tuple = "NxCxHxW", [MAPS], lambda n: (16, n, 16, 16), (4, 16, 64, 256), (2, 4, 1, 1)
    ones = [True] * 3

    def layer_norm_backward(r: Source, n: int, w: int) -> tuple:
        dy, x, stats = _with_moments(r(n, w), r(n, w), (1,))
        return dy, x, r(w), 1, EPS, stats

    def batch_norm_backward(r: Source, *s: int) -> tuple:
        dy, x, stats = _with_moments(r(*s), r(*s), (0, 2, 3))
        return dy, x, r(s[1]), EPS, stats

    def group_norm_backward(r: Source, *s: int) -> tuple:
        x = r(*s)
        return r(*s), x, r(s[1]), 4, EPS, moments(x.reshape(s[0], 4, -1), (2,))

    for kernel, arguments, theirs, place in [
        ("layer_norm", lambda r, n, w: (r(n, w), r(w), r(w), 1, EPS),
         lambda t, x, w, b, _, e: aten(t).native_layer_norm(x, list(w.shape), w, b, e)[0], rows),
        ("layer_norm_backward", layer_norm_backward,
         lambda t, dy, x, w, _, e, s: aten(t).native_layer_norm_backward(dy, x, list(w.shape), *s, w, w, ones), rows),
        ("rms_norm", lambda r, n, w: (r(n, w), r(w), 1, EPS),
         lambda t, x, w, _, e: functional(t).rms_norm(x, tuple(w.shape), w, e), rows),
        ("rms_norm_backward", lambda r, n, w: (r(n, w), r(n, w), r(w), 1, EPS), None, rows),
        ("batch_norm", lambda r, *s: (r(*s), r(s[1]), r(s[1]), EPS),
         lambda t, x, w, b, e: aten(t).native_batch_norm(x, w, b, None, None, True, 0.1, e)[0], maps),
        ("batch_norm_backward", batch_norm_backward,
         lambda t, dy, x, w, e, s: aten(t).native_batch_norm_backward(dy, x, w, None, None, *s, True, e, ones), maps),
        ("batch_norm_apply", lambda r, *s: (r(*s), r(s[1]), r(s[1]), r(s[1]), r.positive(s[1]), EPS),
         lambda t, x, w, b, m, v, e: functional(t).batch_norm(x, m, v, w, b, False, 0.1, e), maps),
        ("batch_norm_apply_backward", lambda r, *s: (r(*s), r(*s), r(s[1]), r(s[1]), r.positive(s[1]), EPS),
         lambda t, dy, x, w, m, v, e: aten(t).native_batch_norm_backward(dy, x, w, m, v, None, None, False, e, ones),
         maps),
        ("group_norm", lambda r, *s: (r(*s), r(s[1]), r(s[1]), 4, EPS),
         lambda t, x, w, b, g, e: functional(t).group_norm(x, g, w, b, e), maps),
        ("group_norm_backward", group_norm_backward,
         lambda t, dy, x, w, g, e, s: aten(t).native_group_norm_backward(
             dy, x, *s, w, *x.shape[:2], math.prod(x.shape[2:]), g, ones), maps),
    ]:
        def make(*s: int, arguments: Callable = arguments, theirs: Any = theirs) -> Case:
            return Case(lambda r: arguments(r, *s), theirs)

        yield Entry("norm", kernel, make, *place)


def pooling() -> Iterator[Entry]:
    """Windows of 2 x 2, and adaptive pooling."""
    place = "NxCxHxW", [POOLED], lambda n: (16, n, 32, 32), (4, 16, 64, 256), (1, 1, 2, 2)
    last = "NxCxHxW", [(64, 64, 8, 8)], lambda n: (16, n, 8, 8), (16, 64, 256, 1024), (1, 1, 1, 1)

    def halved(s: tuple) -> tuple:
        return s[0], s[1], s[2] // 2, s[3] // 2

    for kernel, arguments, theirs, where in [
        ("max_pool", lambda r, s: (r(*s), *WINDOW, (1, 1), False),
         lambda t, x, *a: functional(t).max_pool2d(x, *a, return_indices=True), place),
        ("max_pool_dx", lambda r, s: (r(*halved(s)), _places(r, halved(s), s[3]), s),
         lambda t, dy, index, x: aten(t).max_pool2d_with_indices_backward(
             dy, blank(t, x, dy.dtype), *WINDOW, [1, 1], False, index), place),
        ("avg_pool", lambda r, s: (r(*s), *WINDOW, False, True, None),
         lambda t, x, *a: functional(t).avg_pool2d(x, *a), place),
        ("avg_pool_dx", lambda r, s: (r(*halved(s)), s, *WINDOW, False, True, None),
         lambda t, dy, x, *a: aten(t).avg_pool2d_backward(dy, blank(t, x, dy.dtype), *a), place),
        ("adaptive_avg_pool", lambda r, s: (r(*s), (1, 1)),
         lambda t, x, out: functional(t).adaptive_avg_pool2d(x, out), last),
        ("adaptive_avg_pool_dx", lambda r, s: (r(*s[:2], 1, 1), s),
         lambda t, dy, x: aten(t)._adaptive_avg_pool2d_backward(dy, blank(t, x, dy.dtype)), last),
        ("adaptive_max_pool", lambda r, s: (r(*s), (min(7, s[2]), min(7, s[3]))),
         lambda t, x, out: functional(t).adaptive_max_pool2d(x, out, return_indices=True), place),
    ]:
        def make(n: int, c: int, h: int, w: int, arguments: Callable = arguments, theirs: Any = theirs) -> Case:
            return Case(lambda r: arguments(r, (n, c, h, w)), theirs)

        yield Entry("pooling", kernel, make, *where)


def _places(r: Source, y: tuple, width: int) -> np.ndarray:
    """Positions that max pooling by 2 x 2 may give for an output of shape y."""
    row, column = np.ogrid[:y[2], :y[3]]
    within = r.below(4, *y)
    return (2 * row + within // 2) * width + 2 * column + within % 2


def lookups() -> Iterator[Entry]:
    counts = (64, 256, 1024, 4096)
    yield Entry("indexing", "embedding_dw",
                lambda n, width, words: Case(
                    lambda r: (r(n, width), r.below(words, n), (words, width)),
                    lambda t, dy, index, s: aten(t).embedding_dense_backward(dy, index, s[0], -1, False)),
                "ROWSxWIDTHxWORDS", [(1024, 256, 10_000)], lambda n: (n, 256, 10_000), counts, (1, 1, 1))
    yield Entry("indexing", "add_rows",
                lambda n, width, end: Case(
                    lambda r: (r(n, width), r.below(end, n), end),
                    lambda t, rows, index, end: t.zeros(end, rows.shape[1], dtype=rows.dtype).index_add_(
                        0, index, rows)),
                "ROWSxWIDTHxRESULTS", [(2048, 256, 65)], lambda n: (n, 256, 65), counts, (1, 1, 1))
    yield Entry("indexing", "gather",
                lambda n, width: Case(lambda r: (r(n, width), r.below(width, n, width), 1),
                                      lambda t, x, index, axis: t.gather(x, axis, index)),
                "ROWSxWIDTH", [ROWS], lambda n: (n, 256), counts, (1, 1))
    yield Entry("indexing", "gather_dx",
                lambda n, width: Case(lambda r: (r(n, width), r.below(width, n, width), 1, (n, width)),
                                      lambda t, dy, index, axis, shape: t.zeros(shape, dtype=dy.dtype).scatter_add_(
                                          axis, index, dy)),
                "ROWSxWIDTH", [ROWS], lambda n: (n, 256), counts, (1, 1))


def rows() -> Iterator[Entry]:
    """Softmax and its kin along the last dimension."""
    for kernel, arguments, theirs in [
        ("softmax", lambda r, s: (r(*s), len(s) - 1), lambda t, x, d: t.softmax(x, d)),
        ("softmax_dx", lambda r, s: (r(*s), r.positive(*s), len(s) - 1),
         lambda t, dy, y, d: aten(t)._softmax_backward_data(dy, y, d, dy.dtype)),
        ("log_softmax", lambda r, s: (r(*s), len(s) - 1), lambda t, x, d: t.log_softmax(x, d)),
        ("log_softmax_dx", lambda r, s: (r(*s), -r.positive(*s), len(s) - 1),
         lambda t, dy, y, d: aten(t)._log_softmax_backward_data(dy, y, d, dy.dtype)),
        ("logsumexp", lambda r, s: (r(*s), len(s) - 1, False), lambda t, x, d, keep: t.logsumexp(x, d, keep)),
    ]:
        def make(*s: int, arguments: Callable = arguments, theirs: Any = theirs) -> Case:
            return Case(lambda r: arguments(r, s), theirs)

        yield Entry("softmax", kernel, make, "AxBx...", [WEIGHTS, LOGITS], lambda n: (256, n), WIDTHS, (1, 1))


def losses() -> Iterator[Entry]:
    plain = (None, -100, "mean")
    place = "ROWSxCLASSES", [LOGITS], lambda n: (256, n), WIDTHS, (1, 1)

    yield Entry("loss", "cross_entropy",
                lambda n, c: Case(lambda r: (r(n, c), r.below(c, n), None, -100, 0.0, "mean"),
                                  lambda t, x, target, *_: functional(t).cross_entropy(x, target)), *place)
    yield Entry("loss", "nll_loss",
                lambda n, c: Case(lambda r: (r(n, c), r.below(c, n), *plain),
                                  lambda t, x, target, *_: functional(t).nll_loss(x, target)), *place)
    yield Entry("loss", "nll_loss_dx",
                lambda n, c: Case(lambda r: (r(1)[0:1].reshape(()), (n, c), r.below(c, n), *plain),
                                  lambda t, dy, shape, target, *_: aten(t).nll_loss_backward(
                                      dy, blank(t, shape, dy.dtype), target, None, 1, -100,
                                      t.tensor(float(target.shape[0]), dtype=dy.dtype))), *place)


ENTRIES: list[Entry] = [
    *products(),
    *convolutions(),
    elementwise("add", lambda t, a, b: a + b, HIDDEN, 2),
    elementwise("mul", lambda t, a, b: a * b, IMAGES, 2),
    elementwise("exp", lambda t, x: t.exp(x), HIDDEN),
    elementwise("log", lambda t, x: t.log(x), HIDDEN, positive=True),
    elementwise("sqrt", lambda t, x: t.sqrt(x), HIDDEN, positive=True),
    elementwise("tanh", lambda t, x: t.tanh(x), HIDDEN),
    elementwise("erf", lambda t, x: t.erf(x), HIDDEN),
    elementwise("erfc", lambda t, x: t.erfc(x), HIDDEN),
    elementwise("lgamma", lambda t, x: t.lgamma(x), HIDDEN, positive=True),
    elementwise("relu", lambda t, x: t.relu(x), IMAGES),
    elementwise("relu_dx", lambda t, dy, y: aten(t).threshold_backward(dy, y, 0), IMAGES, 2),
    elementwise("sigmoid", lambda t, x: t.sigmoid(x), HIDDEN),
    elementwise("sigmoid_dx", lambda t, dy, y: aten(t).sigmoid_backward(dy, y), HIDDEN, 2),
    elementwise("tanh_dx", lambda t, dy, y: aten(t).tanh_backward(dy, y), HIDDEN, 2),
    elementwise("silu", lambda t, x: functional(t).silu(x), HIDDEN),
    elementwise("silu_dx", lambda t, dy, x: aten(t).silu_backward(dy, x), HIDDEN, 2),
    elementwise("gelu", lambda t, x, a: functional(t).gelu(x, approximate=a), HIDDEN, 1, "none"),
    elementwise("gelu", lambda t, x, a: functional(t).gelu(x, approximate=a), HIDDEN, 1, "tanh"),
    elementwise("gelu_dx", lambda t, dy, x, a: aten(t).gelu_backward(dy, x, approximate=a), HIDDEN, 2, "none"),
    elementwise("gelu_dx", lambda t, dy, x, a: aten(t).gelu_backward(dy, x, approximate=a), HIDDEN, 2, "tanh"),
    elementwise("mish", lambda t, x: functional(t).mish(x), HIDDEN),
    elementwise("hardswish", lambda t, x: functional(t).hardswish(x), HIDDEN),
    elementwise("hardsigmoid", lambda t, x: functional(t).hardsigmoid(x), HIDDEN),
    elementwise("logsigmoid", lambda t, x: functional(t).logsigmoid(x), HIDDEN),
    elementwise("leaky_relu", lambda t, x, slope: functional(t).leaky_relu(x, slope), HIDDEN, 1, 0.01),
    elementwise("elu", lambda t, x, alpha, *_: functional(t).elu(x, alpha), HIDDEN, 1, 1.0, 1.0, 1.0),
    elementwise("softplus", lambda t, x, *a: functional(t).softplus(x, *a), HIDDEN, 1, 1.0, 20.0),
    Entry("elementwise", "where", lambda *s: Case(lambda r: (r(*s) > 0, r(*s), r(*s)), lambda t, *a: t.where(*a)),
          "AxBx...", [HIDDEN], lambda n: (n,), LENGTHS, (1,)),
    *reductions(),
    *norms(),
    *rows(),
    *losses(),
    *programs.losses(),
    *pooling(),
    *lookups(),
    *programs.dropouts(),
    *masks(),
    *programs.optimizers(),
    *single_steps(),
    *programs.attentions(),
    *programs.recurrences(),
]
