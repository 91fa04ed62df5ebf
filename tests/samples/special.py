"""Special functions: Bessel and gamma functions, the normal distribution, zeta, orthogonal polynomials."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register


def scipy_special(name):
    """SciPy's function of that name, imported when it is called."""
    def call(*args):
        import scipy.special

        return np.asarray(getattr(scipy.special, name)(*args))

    return call


def between(*limits, shape=(3, 4)):
    """One array with values between each pair of limits, a scalar and nothing."""
    return [Sample(arrays_like(s, low=low, high=high)) for low, high in limits for s in (shape, (), (0, 2))]


def at(*values):
    return Sample((np.array(values),), grad=False)


INF = float("inf")

for _name, _limits, _edges in (
        ("i0", ((-9, -0.1), (0.1, 40)), (0.0, -1e-9, 30.0)),
        ("i0e", ((-9, -0.1), (0.1, 60)), (0.0, -1e-9, 1e5)),
        ("i1", ((-9, -0.1), (0.1, 40)), (0.0, -1e-9, 30.0)),
        ("i1e", ((-9, -0.1), (0.1, 60)), (0.0, -1e-9, 1e5)),
        ("erfcx", ((-3, -0.5), (-0.4, 0.4), (0.5, 40)), (0.0, 1e5, INF)),
        ("log_ndtr", ((-40, -2), (-0.9, 4)), (0.0, -1e5, 9.0)),
        ("ndtr", ((-5, 5),), (0.0, INF, -INF)),
        ("ndtri", ((0.01, 0.07), (0.1, 0.9), (0.93, 0.99)), (0.0, 1.0, 0.5, -0.5, 2.0)),
        ("entr", ((0.1, 3),), (0.0, -1.0, INF))):
    register(OpCase(_name, scipy_special(_name), [*between(*_limits), at(*_edges)], dtypes=WIDE,
                    torch=f"special.{_name}",
                    tol={"float32": 1e-4}, grad_tol={"float32": 1e-3},  # exp of tens carries the input's rounding
                    second=_name not in ("i1", "i1e")))
for _name, _theirs in (("j0", "j0"), ("j1", "j1"), ("y0", "y0"), ("y1", "y1")):
    register(OpCase(f"bessel_{_name}", scipy_special(_theirs), [*between((0.1, 20), (30, 90)), at(0.0, 24.9, 25.1)],
                    dtypes=WIDE, grad=False, torch=None,  # PyTorch's are good to 1e-6
                    tol={"float32": 1e-3}))
for _name, _theirs in (("k0e", "k0e"), ("k1e", "k1e")):
    register(OpCase(_name, scipy_special(_theirs), [*between((0.1, 1.9), (2.1, 20), (30, 90)), at(0.0, -1.0, 1e5)],
                    dtypes=WIDE, grad=False, tol={"float32": 1e-4},
                    torch=f"special.scaled_modified_bessel_{_name[:2]}"))


def positive(*shapes, low=0.2, high=9.0):
    return Sample(arrays_like(*shapes, low=low, high=high))


for _name, _theirs in (("igamma", "gammainc"), ("igammac", "gammaincc")):
    register(OpCase(_name, scipy_special(_theirs), [
        positive((3, 4), (3, 4)), positive((3, 1), (4,)), positive((), ()), positive((0, 2), (2,)),
        positive((5,), (5,), low=50, high=90),
        Sample((np.array([0.0, 1.0, 2.0, -1.0, 0.0]), np.array([1.0, 0.0, INF, 1.0, 0.0])), grad=False)],
        dtypes=WIDE, constant=(0,), tol={"float32": 1e-4}, grad_tol={"float32": 1e-3},
        errors=[BadInput((2.0, np.ones(2)), {}, TypeError, "must be Tensors")]))
register(OpCase("zeta", scipy_special("zeta"), [
    positive((3, 4), (3, 4), low=1.1), positive((3, 1), (4,), low=1.1), positive((), (), low=1.1), positive((0,), (0,)),
    Sample((np.array([1.0, 0.5, 2.0, 30.0]), np.array([1.0, 1.0, -1.0, 0.3])), grad=False)],
    dtypes=WIDE, constant=(0,), torch="special.zeta", tol={"float32": 1e-4}, grad_tol={"float32": 1e-3}))
register(OpCase("xlog1py", scipy_special("xlog1py"), [
    positive((3, 4), (3, 4)), positive((3, 1), (4,)), positive((0,), (0,)),
    Sample((np.array([0.0, 0.0, 1.0]), np.array([-1.0, np.nan, -1.0])), grad=False)], dtypes=WIDE,
    torch="special.xlog1py"))

POLYNOMIALS = {"chebyshev_polynomial_t": "eval_chebyt", "chebyshev_polynomial_u": "eval_chebyu",
               "hermite_polynomial_h": "eval_hermite", "hermite_polynomial_he": "eval_hermitenorm",
               "laguerre_polynomial_l": "eval_laguerre", "legendre_polynomial_p": "eval_legendre",
               "shifted_chebyshev_polynomial_t": "eval_sh_chebyt", "shifted_chebyshev_polynomial_u": "eval_sh_chebyu"}


def polynomial(x, n, name=None):
    return scipy_special(POLYNOMIALS[name])(n, x)


register(OpCase("polynomial", polynomial, [
    Sample((np.linspace(-1.2, 1.2, 9), np.arange(9)), {"name": name}, name=name) for name in POLYNOMIALS] + [
    Sample((np.zeros((0, 2)), np.zeros(2, int)), {"name": "legendre_polynomial_p"})],
    dtypes=WIDE, grad=False, torch=None, tol={"float32": 1e-4}))
for _name, _theirs in POLYNOMIALS.items():
    register(OpCase(f"special.{_name}", lambda x, n, f=_theirs: scipy_special(f)(n, x), [
        Sample((np.linspace(-1.2, 1.2, 5), np.array(3)))], dtypes=WIDE, grad=False, tol={"float32": 1e-4}))
for _name, _reference in (("v", lambda x, n: np.cos((n + 0.5) * np.arccos(x)) / np.cos(np.arccos(x) / 2)),
                          ("w", lambda x, n: np.sin((n + 0.5) * np.arccos(x)) / np.sin(np.arccos(x) / 2))):
    register(OpCase(f"special.chebyshev_polynomial_{_name}", _reference, [
        Sample((np.linspace(-0.9, 0.9, 6), np.arange(6)))], dtypes=WIDE, grad=False, tol={"float32": 1e-4}))

for _name, _theirs in (("modified_bessel_i0", "i0"), ("modified_bessel_i1", "i1"), ("modified_bessel_k0", "k0"),
                       ("modified_bessel_k1", "k1"), ("spherical_bessel_j0", None)):
    register(OpCase(f"special.{_name}", scipy_special(_theirs) if _theirs else lambda x: np.sinc(x / np.pi), [
        Sample(arrays_like((3, 4), low=0.1, high=9))], dtypes=WIDE, grad=False, tol={"float32": 1e-4}))
register(OpCase("airy_ai", lambda x: scipy_special("airy")(x)[0], [
    *between((-40, -9.1), (-8.9, 1.9), (2.1, 20)), at(-9.0, 2.0, -9.5, 0.0, INF, np.nan)],
    dtypes=WIDE, grad=False, tol={"float32": 1e-4, "float64": 1e-12},
    torch=None))  # PyTorch's is good to 1e-6
