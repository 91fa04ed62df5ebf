"""Padding with what an image shows at its edges, and picking places along an axis."""
from __future__ import annotations

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(x, pad, mode="constant", value=None):
    """NumPy's padding, axis after axis from the last one. What negative sizes cut off does not come round again."""
    options = {"constant_values": value or 0} if mode == "constant" else {}
    for i in range(len(pad) // 2):
        (before, after), axis = pad[2 * i:2 * i + 2], x.ndim - 1 - i
        cut = [slice(None)] * x.ndim
        cut[axis] = slice(max(0, -before), x.shape[axis] - max(0, -after))
        x = x[tuple(cut)] if mode == "circular" else x
        both = [(0, 0)] * x.ndim
        both[axis] = (max(0, before), max(0, after))
        x = np.pad(x, both, MODES[mode], **options)
        cut[axis] = slice(max(0, -before), x.shape[axis] - max(0, -after))
        x = x if mode == "circular" else x[tuple(cut)]
    return x


X = np.zeros((1, 2, 3))
register(OpCase("pad", padded, [
    Sample(arrays_like((2, 3)), {"pad": (1, 2)}), Sample(arrays_like((2, 3)), {"pad": (0, 1, 2, 0), "value": 2.5}),
    Sample(arrays_like((2, 3)), {"pad": (-1, 1)}),
    Sample(arrays_like((2, 3)), {"pad": (-1, -1, 1, -1), "value": 7.0}),
    Sample(arrays_like((2, 3)), {"pad": (0, 0)}), Sample(arrays_like((2, 3)), {"pad": ()}),
    Sample(arrays_like((0, 3)), {"pad": (1, 1)}), Sample(arrays_like((0, 3)), {"pad": (0, 0, 1, 1)}),
    Sample((np.array([1, 2]), (1, 1)), {"value": 3}), Sample((np.array([True, False]), (1, 0)), {"value": True}),
    *[Sample(arrays_like(shape), {"pad": widths, "mode": mode}) for mode in ("reflect", "replicate", "circular")
      for shape, widths in (
          ((2, 3), (1, 2)), ((1, 2, 4), (2, 0)), ((2, 1, 3, 4), (1, 3, 2, 1)), ((1, 3, 4), (0, 1, 2, 2)),
          ((1, 2, 3), (-1, 2)), ((1, 1, 2, 3, 2), (1, 0, 0, 2, 1, 1)), ((0, 2, 3), (1, 1)))],
    Sample(arrays_like((1, 2, 3)), {"pad": (3, 3), "mode": "circular"}),
    Sample((np.array([[1, 2, 3]]), (2, 1), "reflect")),
    Sample(arrays_like((1, 2, 3)), {"pad": (7, 4), "mode": "replicate"}),
    Sample(arrays_like((1, 1, 1)), {"pad": (1, 1), "mode": "replicate"}),
], torch="nn.functional.pad", errors=[
    BadInput((X, (1,)), {}, RuntimeError, "divisible by 2"),
    BadInput((X, (1,) * 8), {}, RuntimeError, "less than or equal to two times"),
    BadInput((X, (-2, -2)), {}, RuntimeError, "negative output size"),
    BadInput((X, (3, 0), "reflect"), {}, RuntimeError, "less than the corresponding input dimension"),
    BadInput((X, (4, 0), "circular"), {}, RuntimeError, "wrapping around more than once"),
    BadInput((X, (-3, 3), "circular"), {}, RuntimeError, "leaves nothing"),
    BadInput((X, (-2, -2), "replicate"), {}, RuntimeError, "leaves nothing"),
    BadInput((np.zeros((1, 2, 0)), (1, 1), "replicate"), {}, RuntimeError, "nothing to repeat"),
    BadInput((np.zeros(3), (1, 1), "reflect"), {}, NotImplementedError, "Only 2D, 3D"),
    BadInput((X, (1, 1), "mirror"), {}, NotImplementedError, "Unrecognised padding mode mirror"),
    BadInput((X, (1, 1), "reflect", 1.0), {}, RuntimeError, "doesn't take in value"),
]))


def picked(x, index, axis):
    return np.moveaxis(np.array([np.moveaxis(x, axis, 0)[i] for i in index]).reshape(
        len(index), *np.moveaxis(x, axis, 0).shape[1:]), 0, axis)


def put_back(dy, index, axis, n):
    dx = np.zeros((n, *np.moveaxis(dy, axis, 0).shape[1:]))
    for i, part in zip(index, np.moveaxis(dy, axis, 0)):
        dx[i] += part
    return np.moveaxis(dx, 0, axis)


def of_arrays(name):
    """The op, whose index is an array."""
    def call(x, index, *rest):
        from minitorch.op import OPS

        return OPS[name].call(x, index._array, *rest)
    return call


for name, reference, rest in (("pick_axis", picked, ()), ("pick_axis_dx", put_back, (5,))):
    register(OpCase(name, reference, [
        Sample(lambda rng, rest=rest: (rng.standard_normal((2, 5)), np.array([0, 3, 3, 1, 4]), 1, *rest)),
        Sample(lambda rng, rest=rest: (rng.standard_normal((5, 2, 1)), np.array([4, 2, 0, 0, 0]), 0, *rest)),
        Sample(lambda rng, rest=rest: (rng.standard_normal((0, 5)), np.array([1, 2, 3, 3, 3]), 1, *rest)),
    ], call=of_arrays(name), dtypes=WIDE))
