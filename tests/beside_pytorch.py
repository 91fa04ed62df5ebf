"""What tests beside PyTorch share: its arguments as minitorch's, and what tells results apart."""
from __future__ import annotations

import dataclasses
import types

import numpy as np

import minitorch as mt

# (rtol, atol) that PyTorch's tests allow unless an entry says otherwise.
PRECISION = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
             "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7)}


class Unsupported(Exception):
    """An argument that minitorch has nothing for: a sparse tensor, a dtype."""


# Arguments


def ours(torch, x, known=None):
    """PyTorch's argument as minitorch's, recursively: tensors that share memory share it here too."""
    known = {} if known is None else known
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise Unsupported(f"a tensor of layout {x.layout}")
        if x.dim() > 64:
            return mt.empty(x.shape)
        if ("tensor", id(x)) not in known:
            known["tensor", id(x)] = mt.from_numpy(array_of(torch, x, known)).requires_grad_(x.requires_grad)
        return known["tensor", id(x)]
    if isinstance(x, torch.dtype):
        return dtype_of(x)
    if isinstance(x, torch.device):
        return mt.device(str(x))
    if isinstance(x, torch.nn.Module):
        return getattr(mt.nn, type(x).__name__)()
    if isinstance(x, types.FunctionType) and x.__module__.startswith("torch.nn."):
        return getattr(mt.nn.functional, x.__name__)
    if isinstance(x, (torch.layout, torch.memory_format)):
        return getattr(mt, str(x).removeprefix("torch."))
    if isinstance(x, torch.Size):
        return mt.Size(x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):  # options, which have the same name in both
        return getattr(mt.nn, type(x).__name__)(**dataclasses.asdict(x))
    if isinstance(x, (list, tuple)):
        return type(x)([ours(torch, part, known) for part in x])
    return {key: ours(torch, value, known) for key, value in x.items()} if isinstance(x, dict) else x


def array_of(torch, x, known=None) -> np.ndarray:
    """A NumPy array on a copy of the tensor's memory, with its strides; the copy is made once for each memory."""
    known, x = {} if known is None else known, x.detach().resolve_conj().resolve_neg()
    if x._is_zerotensor():
        x = x.clone()
    memory = x.untyped_storage()
    if memory.data_ptr() not in known:  # it is kept, lest another come to lie at its address
        known[memory.data_ptr()] = memory, torch.empty(0, dtype=torch.uint8).set_(memory).numpy().copy()
    if x.dtype == torch.bfloat16:
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(str(x.dtype).removeprefix("torch."))
    if not x.numel():
        return np.empty(tuple(x.shape), dtype)
    return np.ndarray(tuple(x.shape), dtype, known[memory.data_ptr()][1], x.storage_offset() * dtype.itemsize,
                      [n * dtype.itemsize for n in x.stride()])


def dtype_of(d):
    found = getattr(mt, str(d).removeprefix("torch."), None)
    if found is None:
        raise Unsupported(f"dtype {d}")
    return found


def doubled(torch, x):
    """PyTorch's arguments in double precision, with leaves of their own."""
    if isinstance(x, torch.Tensor):
        wide = {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(x.dtype, x.dtype)
        return x.detach().to(wide, copy=True).requires_grad_(x.requires_grad)
    if isinstance(x, torch.dtype):
        return {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(x, x)
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return type(x)([doubled(torch, part) for part in x])
    return {key: doubled(torch, value) for key, value in x.items()} if isinstance(x, dict) else x


def leaves(module, x) -> list:
    """The tensors in arguments or results that want a gradient, in order."""
    return [t for t in tensors(module, x) if t.requires_grad]


def tensors(module, x) -> list:
    if isinstance(x, module.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for part in x for t in tensors(module, part)] if isinstance(x, (list, tuple)) else []


# Results


def difference(torch, a, b, tolerance, values=True, where="result", truth=None) -> str | None:
    """What tells minitorch's `a` from PyTorch's `b`, or None. `truth` is what `b` is in double precision."""
    if isinstance(b, torch.Tensor):
        if not isinstance(a, mt.Tensor):
            return f"{where}: {type(a).__name__} instead of a tensor"
        if b.layout != torch.strided:
            if str(a.layout) != str(b.layout):
                return f"{where}: layout {a.layout} instead of {b.layout}"
            a, b = a.to_dense(), b.to_dense()
        if tuple(a.shape) != tuple(b.shape):
            return f"{where}: shape {tuple(a.shape)} instead of {tuple(b.shape)}"
        if str(a.dtype) != str(b.dtype):
            return f"{where}: {a.dtype} instead of {b.dtype}"
        return difference_of_values(torch, a, b, tolerance, where, truth) if values else None
    if isinstance(b, (list, tuple)):
        if not isinstance(a, (list, tuple)) or len(a) != len(b) or isinstance(a, list) != isinstance(b, list):
            return f"{where}: {type(a).__name__} instead of {type(b).__name__} of {len(b)}"
        return next(filter(None, (difference(torch, x, y, tolerance, values, f"{where}[{i}]", truth and truth[i])
                                  for i, (x, y) in enumerate(zip(a, b)))), None)
    if isinstance(b, (torch.dtype, torch.device)):
        return None if str(a) == str(b) else f"{where}: {a} instead of {b}"
    if isinstance(b, (float, complex)) and type(a) is type(b):
        return None if np.allclose(a, b, *tolerance, equal_nan=True) else f"{where}: {a} instead of {b}"
    return None if type(a) is type(b) and a == b else f"{where}: {a!r} instead of {b!r}"


def difference_of_values(torch, a, b, tolerance, where, truth) -> str | None:
    x, y = a.detach(), array_of(torch, b)
    x = x.numpy() if x.dtype != mt.bfloat16 else x.float().numpy()
    y = y.astype(x.dtype)
    rtol, atol = map(max, tolerance, PRECISION.get(str(b.dtype)[6:], (0.0, 0.0)))
    with np.errstate(all="ignore"):
        close = np.isclose(x, y, rtol, atol, equal_nan=True) if x.dtype.kind in "fc" else x == y
        if isinstance(truth, torch.Tensor) and x.dtype.kind in "fc" and truth.shape == b.shape:
            true = array_of(torch, truth)
            error = np.abs(y - true)
            worst = error[np.isfinite(error)].max(initial=0.0)
            close |= np.abs(x - true) <= atol + rtol * np.abs(true) + worst
        if close.all():
            return None
        first = tuple(int(i[0]) for i in np.nonzero(~close)) if x.ndim else ()
        return (f"{where}: {int((~close).sum())} of {x.size} values, first {x[first]} instead of {y[first]} "
                f"at {list(first)}")


def slope_difference(torch, actual, expected, tolerance, truth=None) -> str | None:
    """What tells gradients apart. No path is a gradient of zero."""
    for i, (a, b) in enumerate(zip(actual, expected)):
        if a is None or b is None:
            given = a if b is None else b
            found = None if given is None or not bool((given != 0).any()) else f"gradient {i}: {a} instead of {b}"
        else:
            found = difference(torch, a, b, tolerance, where=f"gradient {i}", truth=truth and truth[i])
        if found:
            return found
    return None
