"""Arithmetic, elementwise mathematics, comparisons, choices."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([-7, 3, 0, 5])
BOOLS = np.array([True, False, True, False])
PAIR = np.array([2, -3, 1, 4])


def shapes(low, high, gap=None):
    """Samples of one argument between `low` and `high`: a matrix, a scalar, nothing, a larger one."""
    return [Sample(arrays_like(s, low=low, high=high)) for s in ((3, 4), (), (0, 3))] + \
        [Sample(arrays_like((300, 301), low=low, high=high), big=True, dtypes=WIDE)]


def pairs(low=None, high=None):
    """Samples of two arguments: equal shapes, broadcast both ways, a scalar, nothing."""
    return [Sample(arrays_like(a, b, low=low, high=high))
            for a, b in (((3, 4), (3, 4)), ((3, 1), (1, 4)), ((2, 3), ()), ((1,), (2, 1, 2)), ((0, 3), (1, 3)))]


def apart(*shapes):
    """Arrays without two equal values among all of them."""
    def make(rng):
        sizes = [int(np.prod(s)) for s in shapes]
        values = (rng.permutation(sum(sizes)) - sum(sizes) // 2 + 0.5) * 0.1
        return tuple(part.reshape(s) for part, s in zip(np.split(values, np.cumsum(sizes)[:-1]), shapes))
    return make


def numbers(*values):
    """Samples of an array and a number."""
    return [Sample(lambda rng, v=v: (rng.uniform(0.5, 2, (2, 3)), v)) for v in values]


MISMATCH = BadInput((np.zeros((2, 3)), np.zeros((2, 4))), {}, RuntimeError, "size of tensor")

# Arithmetic

register(OpCase("add", lambda a, b, alpha=1: a + alpha * b, [
    *pairs(), *numbers(2, -1.5), Sample((2.5, np.ones(3))), Sample(arrays_like((2, 3), (3,)), {"alpha": 2.5}),
    Sample(arrays_like((400, 300), (400, 300)), big=True, dtypes=WIDE),
    Sample((INTS, PAIR)), Sample((INTS, 2)), Sample((np.array([250], np.uint8), 3)),
    Sample(lambda rng: (rng.standard_normal(3) + 1j, rng.standard_normal(3) * 1j), dtypes=WIDE),
], errors=[MISMATCH, BadInput((INTS, INTS), {"alpha": 0.5}, RuntimeError, "alpha"),
           BadInput((np.zeros(2), np.zeros(2)), {"beta": 1}, TypeError, "beta")]))
register(OpCase("add", np.logical_or, [Sample((BOOLS, BOOLS))], variant="bools", grad=False))
register(OpCase("sub", lambda a, b, alpha=1: a - alpha * b, [
    *pairs(), *numbers(2, -1.5), Sample((2.5, np.ones(3))), Sample(arrays_like((2, 3), (3,)), {"alpha": 2.5}),
    Sample((INTS, PAIR)), Sample((np.array([1], np.uint8), np.array([3], np.uint8))),
], errors=[MISMATCH, BadInput((BOOLS, BOOLS), {}, RuntimeError, "bool"),
           BadInput((BOOLS, 1), {}, RuntimeError, "bool")]))
register(OpCase("rsub", lambda a, b, alpha=1: b - alpha * a, [
    *pairs(), *numbers(1), Sample(arrays_like((2, 3), (3,)), {"alpha": 2}), Sample((INTS, PAIR)),
], errors=[BadInput((BOOLS, 1), {}, RuntimeError, "bool")]))
register(OpCase("mul", lambda a, b: a * b, [
    *pairs(), *numbers(2, -1.5), Sample((2.5, np.ones(3))), Sample((INTS, PAIR)), Sample((BOOLS, BOOLS)),
    Sample(arrays_like((400, 300), (400, 300)), big=True, dtypes=WIDE), Sample((np.array([100], np.int8), 3)),
    Sample(lambda rng: (rng.standard_normal(3) + 1j, rng.standard_normal(3) * 1j), dtypes=WIDE),
    Sample(lambda rng: (rng.standard_normal(3), rng.standard_normal(3) - 2j), dtypes=WIDE),
], errors=[MISMATCH]))
register(OpCase("div", lambda a, b: a / b, [
    *pairs(0.5, 2), *numbers(2, -1.5), Sample((2.5, np.full(3, 2.0))),
    Sample((np.array([1.0, -1.0, 0.0]), np.zeros(3)), grad=False),
    Sample(lambda rng: (rng.standard_normal(3) + 1j, rng.standard_normal(3) + 2j), dtypes=WIDE),
], errors=[MISMATCH, BadInput((np.ones(2), 2.0), {"rounding_mode": "up"}, RuntimeError, "rounding_mode")]))
register(OpCase("div", lambda a, b: (a / b).astype(np.float32), [Sample((INTS, PAIR)), Sample((BOOLS, 2))],
                variant="integers", grad=False, dtypes=("float32",), result="float32"))
register(OpCase("div", lambda a, b, rounding_mode: np.floor(a / b) if rounding_mode == "floor" else np.trunc(a / b), [
    Sample(arrays_like((3, 4), (4,), low=0.3, high=3.1), {"rounding_mode": mode}) for mode in ("floor", "trunc")],
    variant="rounded", constant=(0, 1)))
register(OpCase("div", lambda a, b, rounding_mode: np.trunc(a / b).astype(np.int64), [
    Sample((INTS, PAIR), {"rounding_mode": "trunc"}), Sample((INTS, -2), {"rounding_mode": "trunc"})],
    variant="truncated", grad=False, errors=[
        BadInput((INTS, INTS), {"rounding_mode": "trunc"}, RuntimeError, "ZeroDivision")]))
register(OpCase("floor_divide", np.floor_divide, [
    Sample(lambda rng: (rng.uniform(-9, 9, (3, 4)), rng.uniform(1, 2, 4))), Sample((INTS, PAIR)), Sample((INTS, -2)),
    Sample((np.array([1.0, -1.0]), np.zeros(2))),
], grad=False, errors=[BadInput((INTS, 0), {}, RuntimeError, "ZeroDivision"),
                       BadInput((BOOLS, BOOLS), {}, NotImplementedError, "floor_divide")]))
register(OpCase("remainder", np.remainder, [
    Sample((np.array([5.3, -5.3, 5.3, -5.3]), np.array([2.0, 2.0, -2.0, -2.0]))), Sample((np.array([7.2, -7.2]), 3)),
    Sample((INTS, PAIR)), Sample((INTS, -4)), Sample((np.array([1.0, -2.0, np.inf]), np.array([0.0, np.inf, 2.0])),
                                                     grad=False),
], errors=[BadInput((INTS, 0), {}, RuntimeError, "ZeroDivision")]))
register(OpCase("fmod", np.fmod, [
    Sample((np.array([5.3, -5.3, 5.3, -5.3]), np.array([2.0, 2.0, -2.0, -2.0]))), Sample((np.array([7.2, -7.2]), 3)),
    Sample((INTS, PAIR)), Sample((INTS, -4)),
], errors=[BadInput((INTS, 0), {}, RuntimeError, "ZeroDivision")]))
register(OpCase("pow", lambda x, n: np.power(x, n), [
    *pairs(0.5, 2), *numbers(2, 3, 1, 0, 0.5, -0.5, -1, -2, 1.7, -3), Sample(lambda rng: (2.5, rng.standard_normal(4))),
    Sample((np.array([-1.5, -2.0]), 3)), Sample((INTS, 3)), Sample((INTS, np.array([2, 0, 3, 1]))),
    Sample((2, np.arange(4))),
    Sample((np.array([0.0, 0.0, -1.0]), np.array([0.0, 2.0, 0.5])), grad=False),
    Sample(lambda rng: (rng.uniform(1, 2, 3) + 1j, rng.standard_normal(3) + 1j), dtypes=WIDE),
    Sample(lambda rng: (rng.uniform(1, 2, 3) + 1j, 2), dtypes=WIDE),
], errors=[BadInput((INTS, -1), {}, RuntimeError, "negative integer powers"), MISMATCH]))
register(OpCase("float_power", lambda x, n: np.power(np.asarray(x, np.float64), n), [
    *numbers(2, 0.5), Sample((INTS, 2))], result="float64", dtypes=("float64",)))
register(OpCase("neg", lambda x: -x, [*shapes(-2, 2), Sample((INTS,))],
                errors=[BadInput((BOOLS,), {}, RuntimeError, "bool")]))
register(OpCase("abs", np.abs, [
    Sample(distinct((3, 4))), Sample((INTS,)), Sample((np.array([0.0, -0.0, np.nan, -np.inf]),), grad=False),
], errors=[BadInput((BOOLS,), {}, NotImplementedError, "abs")]))
register(OpCase("abs", np.abs, [Sample(lambda rng: (rng.standard_normal(4) + 1j,))], variant="complex", dtypes=WIDE,
                inplace=False))
for name, reference in {"sign": np.sign, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}.items():
    register(OpCase(name, reference, [Sample(distinct((3, 5), gap=0.3)), Sample((INTS,)), Sample(arrays_like((0,)))],
                    constant=(0,)))
register(OpCase("round", lambda x, decimals=0: np.round(x, decimals), [
    Sample((np.array([0.5, 1.5, 2.5, -0.5, -1.7]),)), Sample((np.array([1.234, -5.678]),), {"decimals": 1}),
    Sample((np.array([1234.0, -51.0]),), {"decimals": -2}), Sample((INTS,)),
], constant=(0,), errors=[BadInput((BOOLS,), {}, NotImplementedError, "round")]))
register(OpCase("frac", lambda x: x - np.trunc(x), [Sample(distinct((3, 5), gap=0.3))],
                errors=[BadInput((INTS,), {}, NotImplementedError, "frac")]))
register(OpCase("sgn", lambda x: x / np.abs(x), [Sample(lambda rng: (rng.standard_normal(4) + 1j,), dtypes=WIDE)]))

# Functions of one argument: name, reference, where it is defined


def scipy_special(name):
    def reference(x):
        import scipy.special

        return getattr(scipy.special, name)(x)
    return reference


for name, reference, low, high in (
        ("exp", np.exp, -3, 3), ("exp2", np.exp2, -3, 3), ("expm1", np.expm1, -3, 3), ("log", np.log, 0.3, 5),
        ("log2", np.log2, 0.3, 5), ("log10", np.log10, 0.3, 5), ("log1p", np.log1p, -0.7, 5), ("sqrt", np.sqrt, 0.3, 5),
        ("rsqrt", lambda x: 1 / np.sqrt(x), 0.3, 5), ("square", np.square, -2, 2),
        ("reciprocal", np.reciprocal, 0.4, 3),
        ("sin", np.sin, -4, 4), ("cos", np.cos, -4, 4), ("tan", np.tan, -1.2, 1.2), ("sinh", np.sinh, -2, 2),
        ("cosh", np.cosh, -2, 2), ("tanh", np.tanh, -3, 3), ("asin", np.arcsin, -0.9, 0.9),
        ("acos", np.arccos, -0.9, 0.9), ("atan", np.arctan, -3, 3), ("asinh", np.arcsinh, -3, 3),
        ("acosh", np.arccosh, 1.3, 4), ("atanh", np.arctanh, -0.9, 0.9), ("erf", scipy_special("erf"), -3, 3),
        ("erfc", scipy_special("erfc"), -3, 3), ("erfinv", scipy_special("erfinv"), -0.9, 0.9),
        ("lgamma", scipy_special("gammaln"), 0.3, 9), ("digamma", scipy_special("digamma"), 0.4, 9),
        ("sinc", np.sinc, -3, 3), ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), -5, 5)):
    register(OpCase(name, reference, shapes(low, high)))
    if name not in ("square", "reciprocal", "acosh"):
        register(OpCase(name, lambda x, f=reference: f(x.astype(float)).astype(np.float32), [
            Sample((np.array([1, 0]) if name != "atanh" else np.zeros(2, int),))], variant="integers", grad=False,
            dtypes=("float32",), tol={"float32": 1e-5}))
for name, reference in (("exp", np.exp), ("log", np.log), ("sqrt", np.sqrt), ("sin", np.sin), ("cos", np.cos),
                        ("tanh", np.tanh), ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("square", np.square),
                        ("reciprocal", np.reciprocal)):
    register(OpCase(name, reference, [Sample(lambda rng: (rng.uniform(0.5, 1, 4) + 0.5j,))], variant="complex",
                    dtypes=WIDE))
register(OpCase("erfc", scipy_special("erfc"), [Sample((np.array([5.0, 20.0, -8.0, np.inf, -np.inf, np.nan]),),
                                                       grad=False)], variant="tails", dtypes=("float64",)))
register(OpCase("lgamma", scipy_special("gammaln"), [
    Sample((np.array([-0.5, -1.5, 1.0, 2.0, 1e-9, 50.0, 1e9, np.inf]),), grad=False)],
    variant="everywhere", dtypes=("float64",)))
register(OpCase("digamma", scipy_special("digamma"), [Sample((np.array([-0.5, -1.5, 1e-9, 50.0, 1e9, 0.0, -1.0]),),
                                                             grad=False)], variant="everywhere", dtypes=("float64",)))
register(OpCase("erfinv", scipy_special("erfinv"), [
    Sample((np.array([1.0, -1.0, 1.5, 1 - 1e-12, 1e-20]),), grad=False)], variant="tails", dtypes=("float64",)))
register(OpCase("sinc", np.sinc, [Sample((np.array([0.0, 1e-9, 1e-3, 0.2, 1.0]),))], variant="at zero"))


def polygamma(n, x):
    import scipy.special

    return scipy.special.polygamma(n, x)


register(OpCase("polygamma", polygamma, [Sample(lambda rng, n=n: (n, rng.uniform(0.5, 9, 5))) for n in (0, 1, 2, 3)],
                dtypes=WIDE, errors=[BadInput((-1, np.ones(2)), {}, RuntimeError, "negative n")]))


def multigammaln(x, p):
    import scipy.special

    return np.array([scipy.special.multigammaln(v, p) for v in x])


register(OpCase("mvlgamma", multigammaln, [Sample(lambda rng: (rng.uniform(3, 6, 4), 3))], dtypes=WIDE))

# Functions of two and three

register(OpCase("atan2", np.arctan2, [*pairs(0.5, 2), Sample(arrays_like((5,), (5,))), Sample(
    (np.array([0.0, -0.0, 1.0]), np.array([-1.0, -1.0, 0.0])), grad=False)], errors=[MISMATCH]))
register(OpCase("hypot", np.hypot, pairs(0.5, 2), errors=[BadInput((INTS, INTS), {}, NotImplementedError, "hypot")]))
register(OpCase("logaddexp", np.logaddexp, [
    *pairs(-2, 2), Sample((np.array([800.0]), np.array([-800.0])), dtypes=WIDE)],
                errors=[BadInput((INTS, INTS), {}, NotImplementedError, "logaddexp")]))
register(OpCase("logaddexp2", np.logaddexp2, pairs(-2, 2)))
register(OpCase("xlogy", lambda a, b: np.where(a == 0, 0, a * np.log(np.where(a == 0, 1, b))), [
    *pairs(0.5, 2), Sample((np.array([0.0, 0.0]), np.array([0.0, 2.0])), grad=False),
    Sample(lambda rng: (rng.uniform(0.5, 2, 3), 2.5)), Sample(lambda rng: (2.5, rng.uniform(0.5, 2, 3)))]))
register(OpCase("copysign", np.copysign, [Sample(distinct((3, 4), (3, 4))), Sample((np.array([1.5, -2.0]), -1.0)),
                                          Sample((np.array([1.0]), np.array([-0.0])), grad=False)]))
register(OpCase("heaviside", np.heaviside, [
    Sample((np.array([-1.5, 0.0, 2.0]), np.array([0.5, 0.25, 3.0])))], grad=False,
                errors=[BadInput((np.zeros(2), INTS[:2]), {}, RuntimeError, "dtypes")]))
register(OpCase("nextafter", lambda a, b: a, [Sample((np.array([1.0, -2.0]), np.array([1.0, -2.0])))], grad=False,
                dtypes=WIDE))
register(OpCase("ldexp", lambda x, n: x * 2.0**n, [Sample(lambda rng: (rng.standard_normal(3), np.array([1, -2, 0])))],
                torch=None))  # PyTorch's gradient is wrong for integer exponents below 0: 2 ** -2 is 0 to it
register(OpCase("gcd", np.gcd, [Sample((INTS, PAIR))], grad=False,
                errors=[BadInput((np.ones(2), np.ones(2)), {}, NotImplementedError, "gcd")]))
register(OpCase("lcm", np.lcm, [Sample((INTS, PAIR))], grad=False))
register(OpCase("lerp", lambda a, b, w: a + w * (b - a), [
    Sample(lambda rng, w=w: (rng.standard_normal((2, 3)), rng.standard_normal(3), w)) for w in (0.3, 0.8, 1.0)] + [
    Sample(arrays_like((2, 3), (3,), (2, 1)))],
    errors=[BadInput((np.zeros(2), INTS[:2], 0.5), {}, RuntimeError, "dtype")]))
register(OpCase("addcmul", lambda x, a, b, value=1: x + value * a * b, [
    Sample(arrays_like((2, 3), (3,), (2, 1))), Sample(arrays_like((3,), (2, 3), (2, 3)), {"value": -0.5}),
    Sample((INTS, PAIR, PAIR), {"value": 2})], inplace=False))
register(OpCase("addcdiv", lambda x, a, b, value=1: x + value * a / b, [
    Sample(arrays_like((2, 3), (3,), (2, 1), low=0.5, high=2)),
    Sample(arrays_like((2, 3), (3,), (2, 3), low=0.5, high=2), {"value": -0.5})],
    errors=[BadInput((INTS, PAIR, PAIR), {}, RuntimeError, "Integer division")]))


def logit(x, eps=None):
    z = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(z / (1 - z))


register(OpCase("logit", logit, [Sample(arrays_like((3, 4), low=0.1, high=0.9)),
                                 Sample((np.array([0.05, 0.5, 0.97]),), {"eps": 0.1})]))

# Comparisons and logic

for name, reference in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                        "ge": np.greater_equal}.items():
    register(OpCase(name, reference, [
        Sample((np.array([1.0, 2.0, np.nan]), np.array([1.0, 3.0, np.nan]))), Sample((np.array([1.0, 2.0]), 2)),
        Sample((INTS, PAIR)), Sample((BOOLS, True)), Sample((INTS, np.array([0.5])))], grad=False, inplace=False,
        errors=[MISMATCH]))
for name, reference in {"logical_and": np.logical_and, "logical_or": np.logical_or,
                        "logical_xor": np.logical_xor}.items():
    register(OpCase(name, reference, [Sample((np.array([0.0, 2.0, np.nan]), np.array([1.0, 0.0, 0.0]))),
                                      Sample((INTS, BOOLS))], grad=False, inplace=False))
register(OpCase("logical_not", np.logical_not, [Sample((np.array([0.0, 2.0]),)), Sample((INTS,))], grad=False,
                inplace=False))
for name, reference in {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
                        "bitwise_xor": np.bitwise_xor}.items():
    register(OpCase(name, reference, [Sample((INTS, PAIR)), Sample((BOOLS, np.array([True, True, False, False]))),
                                      Sample((INTS, 6))], grad=False,
                    errors=[BadInput((np.ones(2), 1), {}, NotImplementedError, name)]))
register(OpCase("bitwise_left_shift", np.left_shift, [Sample((INTS, 2)), Sample((INTS, np.abs(PAIR)))], grad=False))
register(OpCase("bitwise_right_shift", np.right_shift, [Sample((INTS, 2)), Sample((INTS, np.abs(PAIR)))], grad=False))
register(OpCase("bitwise_not", np.invert, [Sample((INTS,)), Sample((BOOLS,))], grad=False,
                errors=[BadInput((np.ones(2),), {}, NotImplementedError, "bitwise_not")]))
EDGES = np.array([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf])
for name, reference in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "isposinf": np.isposinf,
                        "isneginf": np.isneginf, "signbit": np.signbit, "isreal": np.isreal}.items():
    register(OpCase(name, reference, [Sample((EDGES,)), Sample((INTS,)), Sample(arrays_like((0,)))], grad=False))
register(OpCase("isclose", np.isclose, [
    Sample((EDGES, EDGES)), Sample((EDGES, EDGES), {"equal_nan": True}),
    Sample((np.array([1.0, 1.0]), np.array([1.001, 1.1])), {"rtol": 0.01}), Sample((INTS, PAIR))], grad=False,
    errors=[BadInput((np.ones(2), INTS[:2]), {}, RuntimeError, "did not match"),
            BadInput((np.ones(2), np.ones(2)), {"rtol": -1.0}, RuntimeError, "rtol")]))

# Choices

register(OpCase("where", np.where, [
    Sample(lambda rng: (rng.random((3, 4)) > 0.5, rng.standard_normal((3, 4)), rng.standard_normal(4))),
    Sample(lambda rng: (rng.random((3, 1)) > 0.5, rng.standard_normal(4), 2.0)),
    Sample(lambda rng: (rng.random(4) > 0.5, -1.0, rng.standard_normal(4))),
    Sample((BOOLS, INTS, PAIR)), Sample((BOOLS, INTS, 3))],
    errors=[BadInput((INTS, np.ones(4), 0.0), {}, RuntimeError, "boolean")]))
register(OpCase("masked_fill", lambda x, mask, value: np.where(mask, np.asarray(value).astype(x.dtype), x), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.random(4) > 0.5, -2.0)),
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.random((3, 1)) > 0.5, rng.standard_normal(()))),
    Sample((INTS, BOOLS, 9))],
    errors=[BadInput((np.ones(4), INTS, 0.0), {}, RuntimeError, "boolean masks"),
            BadInput((np.ones(4), BOOLS, np.ones(2)), {}, RuntimeError, "0-dimensional")]))
for name, reference in {"maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin}.items():
    register(OpCase(name, reference, [
        Sample(apart((3, 4), (4,))), Sample(apart((2, 1), (3,))), Sample((INTS, PAIR)),
        Sample((np.array([np.nan, 1.0, np.inf]), np.array([0.0, np.nan, 2.0])), grad=False)], errors=[MISMATCH]))
register(OpCase("clamp", lambda x, min=None, max=None: np.clip(x, min, max), [
    Sample(distinct((3, 5)), {"min": -0.42, "max": 0.33}), Sample(distinct((3, 5)), {"min": 0.01}),
    Sample(distinct((3, 5)), {"max": 0.02}), Sample((INTS,), {"min": -1, "max": 2}),
    Sample(lambda rng: (*distinct((3, 5))(rng), np.full(5, -0.43), np.full((3, 1), 0.32))),
    Sample((np.array([np.nan, -np.inf, 9.0]), -1.0, 1.0), grad=False)],
    errors=[BadInput((np.ones(2),), {}, RuntimeError, "At least one")]))
register(OpCase("clamp_min", np.maximum, [Sample(lambda rng: (*distinct((3, 4))(rng), 0.12))]))
register(OpCase("clamp_max", np.minimum, [Sample(lambda rng: (*distinct((3, 4))(rng), 0.12))]))
register(OpCase("nan_to_num", lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(
    x, nan=nan, posinf=posinf, neginf=neginf), [
    Sample(arrays_like((3, 4))), Sample((EDGES,), {"nan": 2.0, "posinf": 7.0, "neginf": -8.0}, grad=False),
    Sample((INTS,))]))
register(OpCase("fill", lambda x, value: np.full_like(x, value), [Sample(arrays_like((2, 3), ())),
                                                                  Sample(lambda rng: (rng.standard_normal(3), 2.5))],
                constant=(0,), errors=[BadInput((np.ones(3), np.ones(3)), {}, RuntimeError, "0-dimension")]))
register(OpCase("clone", lambda x: x.copy(), [Sample(arrays_like((2, 3))), Sample((INTS,))]))

# Complex numbers

register(OpCase("complex", lambda a, b: a + 1j * b, [Sample(arrays_like((2, 3), (3,)))], dtypes=WIDE,
                errors=[BadInput((INTS, INTS), {}, RuntimeError, "Half, Float or Double")]))
register(OpCase("polar", lambda r, t: r * np.exp(1j * t), [Sample(arrays_like((2, 3), (3,), low=0.5, high=2))],
                dtypes=WIDE))
register(OpCase("angle", np.angle, [Sample(lambda rng: (rng.standard_normal(5) + 0.5j,))], dtypes=WIDE))
register(OpCase("conj", np.conj, [Sample(lambda rng: (rng.standard_normal(5) + 0.5j,))], dtypes=WIDE,
                torch="conj_physical"))
register(OpCase("view_as_real", lambda x: np.stack([x.real, x.imag], -1), [
    Sample(lambda rng: (rng.standard_normal((2, 3)) + 0.5j,))], dtypes=WIDE,
    errors=[BadInput((np.ones(2),), {}, RuntimeError, "complex")]))
register(OpCase("view_as_complex", lambda x: x[..., 0] + 1j * x[..., 1], [
    Sample(lambda rng: (rng.standard_normal((4, 2)),))], dtypes=WIDE,
    errors=[BadInput((np.ones((2, 3)),), {}, RuntimeError, "size 2")]))

register(OpCase("real", np.real, [Sample(lambda rng: (rng.standard_normal(5) + 0.5j,))], dtypes=WIDE))
register(OpCase("imag", np.imag, [Sample(lambda rng: (rng.standard_normal(5) + 0.5j,))], dtypes=WIDE,
                errors=[BadInput((np.ones(2),), {}, RuntimeError, "non-complex")]))
register(OpCase("to_copy", lambda x, dtype=None: x.astype(dtype or x.dtype), [
    Sample(arrays_like((2, 3)), {"dtype": np.dtype("float64")}), Sample(arrays_like((2, 3))),
    Sample((INTS,), {"dtype": np.dtype("float32")})], torch=None))

# Degrees and radians, parts of floating point numbers

register(OpCase("deg2rad", np.deg2rad, [*shapes(-200, 200), Sample((INTS,))]))
register(OpCase("rad2deg", np.rad2deg, [*shapes(-4, 4), Sample((INTS,))], tol={"float16": 4e-3}))
register(OpCase("conj_physical", np.conj, [
    Sample(lambda rng: (rng.standard_normal(3) + 1j,), dtypes=WIDE), Sample((INTS,)), Sample(arrays_like((2, 3)))]))
register(OpCase("frexp", lambda x: (np.frexp(x)[0], np.frexp(x)[1].astype(np.int32)), [
    Sample(arrays_like((3, 4), low=0.3, high=0.4)), Sample(arrays_like((0, 2))),
    Sample((np.array([0.0, -6.0, 8.0]),), grad=False)],
    errors=[BadInput((INTS,), {}, NotImplementedError, "frexp")]))
