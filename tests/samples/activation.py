"""Activation functions."""
import math

import numpy as np
from minitorch_kernels import kernels

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([-3, 0, 2])
CORNERS = [Sample(distinct((3, 5))), Sample(arrays_like((), low=0.5, high=1)), Sample(arrays_like((0, 3))),
           Sample(distinct((301, 300), gap=1e-2), big=True, dtypes=WIDE)]
SMOOTH = [Sample(arrays_like(s)) for s in ((3, 5), (), (0, 3))] + [
    Sample((np.array([-30.0, 30.0, 0.0]),)), Sample(arrays_like((301, 300)), big=True, dtypes=WIDE)]
NOT_FOR_INTEGERS = [BadInput((INTS,), {}, NotImplementedError, "not implemented")]


def erf(x):
    import scipy.special

    return scipy.special.erf(x)


def sigmoid(x):
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, beta * x) / beta)


def elu(x, alpha=1.0, scale=1.0):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


# With corners; alphas and slopes of samples lie off the defaults

register(OpCase("relu", lambda x: np.maximum(x, 0), [
    *CORNERS, Sample((INTS,)), Sample((np.array([np.nan, 0.0]),), grad=False)],
                errors=[BadInput((INTS > 0,), {}, RuntimeError, "relu")]))
register(OpCase("relu6", lambda x: np.clip(x, 0, 6), [*CORNERS, Sample(distinct((4, 6), gap=1.3)), Sample((INTS,))],
                torch="nn.functional.relu6"))
register(OpCase("hardtanh", lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val), [
    *CORNERS, Sample(distinct((4, 6)), {"min_val": -0.31, "max_val": 0.82})], torch="nn.functional.hardtanh",
    errors=[BadInput((np.ones(2), 2.0, 1.0), {}, ValueError, "min_val")]))
register(OpCase("leaky_relu", lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x), [
    *CORNERS, Sample(distinct((3, 4)), {"negative_slope": 0.3})], errors=NOT_FOR_INTEGERS,
    torch="nn.functional.leaky_relu"))


def prelu(x, weight):
    w = weight if weight.size == 1 or x.ndim < 2 else weight.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x > 0, x, w * x)


register(OpCase("prelu", prelu, [
    Sample(lambda rng, s=s, n=n: (*distinct(s)(rng), rng.uniform(0.1, 0.5, n)))
    for s, n in (((2, 3, 4), 3), ((2, 3), 3), ((5,), 1), ((2, 3, 2, 2), 1), ((0, 3), 3))], errors=[
        BadInput((np.ones((2, 3)), np.ones(2)), {}, RuntimeError, "weight"),
        BadInput((np.ones((2, 3)), INTS), {}, RuntimeError, "Type promoting")]))
register(OpCase("threshold", lambda x, threshold, value: np.where(x > threshold, x, value), [
    Sample(lambda rng: (*distinct((3, 5))(rng), 0.12, -7.0)), Sample((INTS, 1, 9))]))
register(OpCase("hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0), [
    Sample(distinct((3, 7), gap=0.13)), Sample(distinct((3, 7), gap=0.13), {"lambd": 0.3})], errors=NOT_FOR_INTEGERS))
register(OpCase("softshrink", lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0), [
    Sample(distinct((3, 7), gap=0.13)), Sample(distinct((3, 7), gap=0.13), {"lambd": 0.3})],
    errors=[BadInput((np.ones(2), -1.0), {}, RuntimeError, "lambda")], torch="nn.functional.softshrink"))
register(OpCase("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1), [Sample(distinct((4, 6), gap=0.61))],
                errors=NOT_FOR_INTEGERS, torch="nn.functional.hardsigmoid"))
register(OpCase("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), [Sample(distinct((4, 6), gap=0.61))],
                errors=NOT_FOR_INTEGERS, torch="nn.functional.hardswish"))

# Smooth ones

register(OpCase("elu", elu, [*CORNERS, Sample(distinct((3, 4)), {"alpha": 0.7})], errors=NOT_FOR_INTEGERS,
                torch="nn.functional.elu"))
register(OpCase("celu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), [
    *CORNERS, Sample(distinct((3, 4)), {"alpha": 0.7})],
    errors=[*NOT_FOR_INTEGERS, BadInput((np.ones(2), 0.0), {}, RuntimeError, "alpha")]))
register(OpCase("selu", lambda x: elu(x, 1.6732632423543772, 1.0507009873554805), CORNERS, errors=NOT_FOR_INTEGERS))
register(OpCase("gelu", gelu, [*SMOOTH, *[Sample(s.arguments, {"approximate": "tanh"}, big=s.big, dtypes=s.dtypes)
                                          for s in SMOOTH]],
                errors=[*NOT_FOR_INTEGERS,
                        BadInput((np.ones(2),), {"approximate": "sigmoid"}, RuntimeError, "approximate")],
                torch="nn.functional.gelu"))
register(OpCase("silu", lambda x: x * sigmoid(x), SMOOTH, errors=NOT_FOR_INTEGERS, torch="nn.functional.silu"))
register(OpCase("mish", lambda x: x * np.tanh(softplus(x)), SMOOTH, errors=NOT_FOR_INTEGERS,
                torch="nn.functional.mish"))
register(OpCase("softplus", softplus, [*SMOOTH, Sample(arrays_like((3, 4)), {"beta": 2.0, "threshold": 1.0})],
                errors=NOT_FOR_INTEGERS, torch="nn.functional.softplus"))
register(OpCase("logsigmoid", lambda x: -np.logaddexp(0, -x), SMOOTH, errors=NOT_FOR_INTEGERS,
                torch="nn.functional.logsigmoid"))
register(OpCase("softsign", lambda x: x / (1 + np.abs(x)), [Sample(distinct((3, 5))), Sample(arrays_like((0,)))],
                torch="nn.functional.softsign"))
register(OpCase("tanhshrink", lambda x: x - np.tanh(x), SMOOTH, torch="nn.functional.tanhshrink"))


def glu(x, dim=-1):
    a, b = np.split(x, 2, dim)
    return a * sigmoid(b)


register(OpCase("glu", glu, [Sample(arrays_like((3, 4))), Sample(arrays_like((4, 3)), {"dim": 0}),
                             Sample(arrays_like((2, 6, 2)), {"dim": 1}), Sample(arrays_like((0, 4)))],
                errors=[BadInput((np.ones((2, 3)),), {}, RuntimeError, "even"),
                        BadInput((np.ones((2, 4)), 2), {}, IndexError, "glu")], torch="nn.functional.glu"))
register(OpCase("rrelu", lambda x, lower=0.125, upper=1 / 3: np.where(x > 0, x, x * (lower + upper) / 2), [
    Sample(distinct((3, 4))), Sample(distinct((3, 4)), {"lower": 0.2, "upper": 0.4})],
    errors=[BadInput((np.ones(2), 0.5, 0.1), {}, RuntimeError, "bound")]))

# Dropout, with the mask given


def kept(x, bits, scale):
    """Element i stays where bit i % 8 of byte i // 8 is set."""
    return np.array([v * scale if bits[i // 8] >> i % 8 & 1 else 0.0 for i, v in enumerate(x.flat)]).reshape(x.shape)


register(OpCase("scale_by_bits", kept, [
    Sample(lambda rng, shape=shape: (rng.standard_normal(shape),
                                     rng.integers(0, 256, -(-math.prod(shape) // 8), np.uint8)), {"scale": 1.6})
    for shape in ((3, 4), (), (2, 4, 1), (1, 17), (0, 3))], torch=None))
class Drawn:
    """A source of random numbers that have been drawn: for `drawn_dropout`, whose own is the GPU's."""

    def __init__(self, size):
        self.bits = np.random.default_rng(size).integers(0, 256, -(-size // 8), np.uint8)

    def dropout(self, x, keep, scale):
        return kernels(np).dropout(x, self.bits, scale), self.bits


register(OpCase("drawn_dropout", lambda x, source, p: kept(x, source.bits, 1 / (1 - p)), [
    Sample(lambda rng, shape=shape: (rng.standard_normal(shape), Drawn(math.prod(shape)), 0.25))
    for shape in ((3, 4), (), (2, 4, 1), (0, 3))], torch=None))
register(OpCase("masked_scale", lambda x, mask, scale: x * mask * scale, [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.random((3, 4)) > 0.4), {"scale": 1.6}),
    Sample(lambda rng: (rng.standard_normal((2, 3, 4)), rng.random((2, 3, 1)) > 0.4), {"scale": 2.0}),
    Sample(lambda rng: (rng.standard_normal((301, 300)), rng.random((301, 300)) > 0.4), {"scale": 2.0}, big=True,
           dtypes=WIDE)], torch=None))
