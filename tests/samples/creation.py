"""Tensors from nothing and from values: what PyTorch makes, this makes."""
import numpy as np

from . import BadInput, OpCase, Sample, register

ONCE = {"grad": False, "dtypes": ("float32",), "inplace": False}


def made(name, reference, *calls, errors=(), **options):
    """A case whose samples are calls (arguments..., keywords)."""
    register(OpCase(name, reference, [Sample(c[:-1], c[-1]) for c in calls],
                    errors=[BadInput(c[:-3], c[-3], c[-2], c[-1]) for c in errors], **{**ONCE, **options}))



def filled(value):
    def reference(*size, dtype="float32"):
        return np.full(size[0] if size and isinstance(size[0], (tuple, list)) else size, value, dtype)
    return reference


made("zeros", filled(0), (2, 3, {}), ((2, 0), {}), ({},), ([3], {"dtype": "int64"}), (2, {"dtype": "bool"}),
     errors=[(-1, {}, RuntimeError, "non-negative"), (2.5, {}, TypeError, "size")])
made("ones", filled(1), (2, 3, {}), ((2, 0), {}), ({},), ([3], {"dtype": "int64"}), (2, {"dtype": "bool"}))
OF_PYTHON = {bool: "bool", int: "int64", float: "float32"}
made("full", lambda size, value, dtype=None: np.full(size, value, dtype or OF_PYTHON[type(value)]),
     ((2, 3), 1.5, {}), ((2,), 7, {}), ((), True, {}), ((2,), 7, {"dtype": "float64"}), ((0, 2), 1.0, {}),
     errors=[(2, 1, {}, TypeError, "size")])
made("zeros_like", lambda x, dtype=None: np.zeros(x.shape, dtype or x.dtype), (np.ones((2, 3)), {}), (np.arange(3), {}),
     (np.arange(3), {"dtype": "float64"}))
made("ones_like", lambda x, dtype=None: np.ones(x.shape, dtype or x.dtype), (np.ones((2, 3)), {}), (np.arange(3), {}))
made("full_like", lambda x, value, dtype=None: np.full(x.shape, value, dtype or x.dtype), (np.ones((2, 3)), 2.5, {}),
     (np.arange(3), 2, {}))


def arange(*args, dtype=None):
    whole = all(isinstance(a, int) for a in args)
    return np.arange(*args).astype(dtype or ("int64" if whole else "float32"))


made("arange", arange, (5, {}), (0, {}), (1, 7, 2, {}), (5, 0, -2, {}), (3.5, {}), (0, 1, 0.25, {}),
     (0, 5, {"dtype": "int32"}), (1, 0, -0.1, {"dtype": "float64"}), tol={"float32": 1e-6}, errors=[
         (1, 5, 0, {}, RuntimeError, "nonzero"), (1, 5, -1, {}, RuntimeError, "inconsistent"),
         (float("nan"), {}, RuntimeError, "unsupported range")])
made("linspace", lambda a, b, n, dtype="float32": np.linspace(a, b, n).astype(dtype), (0, 1, 5, {}), (3, -2, 7, {}),
     (1, 2, 1, {}), (0, 1, 0, {}), (0.1, 0.7, 100, {"dtype": "float64"}), (0, 12, 4, {"dtype": "int64"}),
     errors=[(0, 1, -1, {}, RuntimeError, "non-negative")])
made("logspace", lambda a, b, n, base=10.0, dtype="float32": np.logspace(a, b, n, base=base).astype(dtype),
     (0, 2, 5, {}), (-1, 1, 4, {"base": 2.0}), (0, 3, 4, {"base": 2, "dtype": "int64"}), (1, 1, 0, {}))
made("eye", lambda n, m=None, dtype="float32": np.eye(n, m, dtype=dtype), (3, {}), (2, 4, {}), (0, {}),
     (3, 2, {"dtype": "int64"}), errors=[(-1, {}, RuntimeError, "n must be")])
made("tril_indices", lambda r, c, offset=0: np.stack(np.tril_indices(r, offset, c)), (3, 3, {}), (2, 4, {"offset": 1}),
     (4, 2, {"offset": -1}), (0, 3, {}), errors=[(-1, 3, {}, RuntimeError, "row")])
made("triu_indices", lambda r, c, offset=0: np.stack(np.triu_indices(r, offset, c)), (3, 3, {}), (2, 4, {"offset": 1}),
     (4, 2, {"offset": -1}), (0, 3, {}))


def window(weights):
    def reference(n, periodic=True, dtype="float32"):
        x = np.arange(n) / (n if periodic else n - 1)
        return sum(w * np.cos(2 * np.pi * j * x) for j, w in enumerate(weights)).astype(dtype)
    return reference


def bartlett(n, periodic=True):
    return np.bartlett(n + periodic)[:n].astype(np.float32)


def kaiser(n, periodic=True, beta=12.0):
    return np.kaiser(n + periodic, beta)[:n].astype(np.float32)


for name, weights in (("hann", (0.5, -0.5)), ("hamming", (0.54, -0.46)), ("blackman", (0.42, -0.5, 0.08))):
    made(f"{name}_window", window(weights), (5, {}), (6, {"periodic": False}), (4, {"dtype": "float64"}),
         errors=[(-1, {}, RuntimeError, "non-negative"), (3, {"dtype": "int64"}, RuntimeError, "floating")])
made("bartlett_window", bartlett, (5, {}), (6, {"periodic": False}))
made("kaiser_window", kaiser, (5, {}), (6, {"periodic": False}),
     (4, {"periodic": True, "beta": 3.0}), tol={"float32": 1e-6})


def meshgrid(*xs, indexing):
    return list(np.meshgrid(*xs, indexing=indexing))


register(OpCase("meshgrid", meshgrid, [
    Sample(lambda rng: (rng.standard_normal(3), rng.standard_normal(2)), {"indexing": i}) for i in ("ij", "xy")] + [
    Sample(lambda rng: (rng.standard_normal(3), rng.standard_normal(()), rng.standard_normal(2)), {"indexing": "ij"})],
    view=True, errors=[BadInput((np.ones(2), np.arange(2)), {"indexing": "ij"}, RuntimeError, "same dtype"),
                       BadInput((np.ones(2),), {"indexing": "zz"}, RuntimeError, "indexing")]))
