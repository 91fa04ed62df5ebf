"""Views as copies, parts replaced; integrals and differences; covariances and histograms."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register


def of(*shapes, **options):
    return Sample(arrays_like(*shapes), options)


def calls(*arguments, **options):
    """A (3, 4) matrix followed by those arguments."""
    return Sample(lambda rng: (rng.standard_normal((3, 4)), *arguments), options)


for _name, _reference, _sample in (
        ("alias", lambda x: x, calls()),
        ("diagonal", lambda x, k: np.diagonal(x, k), calls(1)),
        ("expand", lambda x, s: np.broadcast_to(x, s), calls((2, 3, 4))),
        ("narrow", lambda x, d, start, n: x[:, start:start + n], calls(1, 1, 2)),
        ("permute", lambda x, d: x.transpose(d), calls((1, 0))),
        ("select", lambda x, d, i: x[:, i], calls(1, -1)),
        ("slice", lambda x, d, a, b, s: x[:, a:b:s], calls(1, 0, 4, 2)),
        ("squeeze", lambda x: x.squeeze(), of((3, 1))),
        ("t", lambda x: x.T, calls()),
        ("transpose", lambda x, a, b: x.T, calls(0, 1)),
        ("unsqueeze", lambda x, d: x[:, None], calls(1)),
        ("view", lambda x, s: x.reshape(s), calls((3, 2, 2)))):
    register(OpCase(f"{_name}_copy", _reference, [_sample], dtypes=WIDE, torch=None))
for _name, _sample in (("split", calls(2, 1)), ("unbind", calls(0))):
    register(OpCase(f"{_name}_copy", lambda x, *how: [x[:, :2], x[:, 2:]] if len(how) == 2 else list(x), [_sample],
                    dtypes=WIDE, torch=None))


def placed(key):
    def replace(x, src, *where, **options):
        y = x.copy()
        key(y, *where, **options)[...] = src
        return y

    return replace


register(OpCase("select_scatter", placed(lambda y, d, i: y[i]), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal(4), 0, 1))],
    errors=[BadInput((np.ones((2, 2)), np.ones(3), 0, 1), {}, RuntimeError, "size equal to the slice")]))
register(OpCase("slice_scatter", placed(lambda y, d, a, b, s: y[:, a:b:s]), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((3, 2)), 1, 0, 4, 2))],
    errors=[BadInput((np.ones((2, 2)), np.ones((1, 2)), 0, 0, 1, 0), {}, RuntimeError, "step must be positive")]))


def diagonal_placed(x, src):
    y = x.copy()
    np.fill_diagonal(y, src)
    return y


register(OpCase("diagonal_scatter", diagonal_placed, [of((3, 3), (3,))]))
register(OpCase("as_strided_scatter", placed(lambda y, s, t, o: y.reshape(-1)[o:o + 3]), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal(3), (3,), (1,), 2))],
    torch=None))  # whose gradient of the input is that of the replaced part
register(OpCase("sum_to_size", lambda x, *size: x.sum(0, keepdims=True), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), 1, 4))], call=lambda x, *size: x.sum_to_size(*size), torch=None))

# Integrals and derivatives

register(OpCase("trapezoid", lambda y, x=None, dx=1.0, dim=-1: np.trapezoid(y, x, dx, dim), [
    of((3, 4)), of((3, 4), dx=0.5, dim=0), of((3, 4), (4,)), of((3, 4), (3, 4)), of((3, 1))], dtypes=WIDE,
    errors=[BadInput((np.ones((2, 3)), np.ones(2)), {}, RuntimeError, "one `x` value")]))


def cumulative(y, dx=1.0):
    return np.cumsum((y[..., 1:] + y[..., :-1]) / 2 * dx, -1)


register(OpCase("cumulative_trapezoid", cumulative, [of((3, 4)), of((5,), dx=2.0)], dtypes=WIDE))


def slopes(f, spacing=1, dim=None, edge_order=1):
    steps = [spacing] if not isinstance(spacing, (list, tuple)) else list(spacing)
    found = np.gradient(f, *steps, axis=dim, edge_order=edge_order)
    return list(found) if isinstance(found, (list, tuple)) else [found]


register(OpCase("gradient", slopes, [
    of((5,)), of((4, 3)), of((4, 3), spacing=0.5), of((4, 5), dim=1, edge_order=2),
    Sample(lambda rng: (rng.standard_normal(5),), {"spacing": [np.array([0, 1, 3, 4, 8])]})], dtypes=WIDE, torch=None,
    errors=[BadInput((np.ones(5),), {"edge_order": 3}, RuntimeError, "edge_order"),
            BadInput((np.ones(1),), {}, RuntimeError, "at least edge_order")]))

# Statistics

register(OpCase("cov", lambda x, correction=1: np.asarray(np.cov(x, ddof=correction)), [
    of((3, 5)), of((4,)), of((2, 5), correction=0)], dtypes=WIDE,
    errors=[BadInput((np.ones((2, 2, 2)),), {}, RuntimeError, "two or fewer")]))
register(OpCase("corrcoef", lambda x: np.asarray(np.corrcoef(x)), [of((3, 5)), of((2, 4))], dtypes=WIDE,
                grad_tol={"float32": 1e-3}))


def counted(x, bins, density=False):
    counts, edges = np.histogram(x, bins, density=density)
    return counts.astype(float), edges


register(OpCase("histogram", counted, [
    calls(3), calls(4, density=True)], dtypes=WIDE, grad=False, torch=None,
    errors=[BadInput((np.ones(3), 0), {}, RuntimeError, "bins must be > 0")]))
register(OpCase("histogramdd", lambda x, bins: np.histogramdd(x, bins)[0], [
    Sample(lambda rng: (rng.standard_normal((20, 2)), [2, 3]))], dtypes=("float64",), grad=False, torch=None,
    call=lambda x, bins: __import__("minitorch").histogramdd(x, bins).hist,
    errors=[BadInput((np.ones(3), [2]), {}, RuntimeError, "at least 2 dimensions")]))


def renormed(x, p, dim, most):
    return x * np.minimum(1, most / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-7))


register(OpCase("renorm", renormed, [
    calls(2, 0, 1.0), calls(2, 0, 100.0)], dtypes=WIDE, grad_tol={"float32": 1e-3},
    errors=[BadInput((np.ones(3), 2, 0, 1.0), {}, RuntimeError, "at least 2 dimensions")]))
register(OpCase("unravel_index", lambda i, shape: list(np.unravel_index(i, shape)), [
    Sample((np.array([0, 5, 3]), (2, 3)))], grad=False,
    errors=[BadInput((np.ones(2), (2, 3)), {}, ValueError, "integer")]))
register(OpCase("nonzero_static", lambda x, size, fill_value=-1: np.concatenate(
    [np.argwhere(x), np.full((size, x.ndim), fill_value)])[:size], [
    Sample((np.array([[0, 1], [2, 0]]),), {"size": n}) for n in (1, 2, 4)], grad=False))
register(OpCase("index_reduce", lambda x, d, i, src, reduce: np.stack(
    [np.maximum(x[0], src[1]), x[1], np.maximum(x[2], src[0])]), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), 0, np.array([2, 0]), rng.standard_normal((2, 4)), "amax"))],
    dtypes=WIDE, torch=None,
    errors=[BadInput((np.ones(2), 0, np.array([0]), np.ones(1), "sum"), {}, RuntimeError, "reduce argument")]))
