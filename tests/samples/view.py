"""The ops behind in-place changes of views, reached as users reach them: by writing to a part of a tensor."""
from __future__ import annotations

import numpy as np

from . import OpCase, Sample, arrays_like, register


def _written(base, part):
    """What `base` becomes by writing `part` into views of views of it."""
    y = base * 1
    y[1:, ::2].transpose(0, 1)[0] = part
    return y


def _written_reference(base, part):
    y = base.copy()
    y[1:, 0] = part
    return y


register(OpCase("overwrite", _written_reference, [
    Sample(arrays_like((4, 5), (3,))), Sample(arrays_like((2, 1), (1,))), Sample(arrays_like((3, 2), ())),
], call=_written))


def _path():
    """Row 1 onwards, every second column."""
    from minitorch.op import OPS

    return ((OPS["slice"], (slice(1, None),), {}), (OPS["slice"], ((slice(None), slice(None, None, 2)),), {}))


def _op(name):
    def call(x, *attributes):
        from minitorch.op import OPS

        return OPS[name].call(x, _path(), *attributes)
    return call


def _cleared(x):
    y = x.copy()
    y[1:, ::2] = 0
    return y


def _spread(x, shape):
    y = np.zeros(shape)
    y[1:, ::2] = x
    return y


register(OpCase("view_cleared", _cleared, [Sample(arrays_like((3, 4))), Sample(arrays_like((1, 2)))],
                call=_op("view_cleared")))
register(OpCase("view_read", lambda x: x[1:, ::2].copy(), [Sample(arrays_like((3, 4))), Sample(arrays_like((1, 2)))],
                call=_op("view_read")))
register(OpCase("view_spread", _spread, [Sample(lambda rng: (rng.standard_normal((2, 2)), (3, 4)))],
                call=_op("view_spread")))
