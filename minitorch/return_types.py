"""Named tuples for functions with several results, under PyTorch's names: `x.max(0).indices`."""
from __future__ import annotations

from collections import namedtuple
from typing import Any

_FIELDS = {
    "values indices": "cummax cummin kthvalue max median min mode nanmedian sort topk",
    "min max": "aminmax",
    "sign logabsdet": "slogdet linalg_slogdet",
    "Q R": "qr linalg_qr",
    "U S V": "svd",
    "U S Vh": "linalg_svd",
    "eigenvalues eigenvectors": "linalg_eig linalg_eigh",
    "L info": "linalg_cholesky_ex",
    "inverse info": "linalg_inv_ex",
    "solution residuals rank singular_values": "linalg_lstsq",
    "LU pivots": "linalg_lu_factor",
    "P L U": "linalg_lu lu_unpack",
    "LU pivots info": "linalg_lu_factor_ex",
    "LD pivots": "linalg_ldl_factor",
    "LD pivots info": "linalg_ldl_factor_ex",
    "result info": "linalg_solve_ex",
    "mantissa exponent": "frexp",
    "a tau": "geqrf",
    "solution cloned_coefficient": "triangular_solve",
    "hist bin_edges": "histogram histogramdd",
}
_namedtuple: Any = namedtuple  # mypy would want its names to be literals


def __getattr__(name: str) -> Any:
    """The type of that name, made when first asked for: making all of them would slow the import."""
    for fields, names in _FIELDS.items():
        if name in names.split():
            made = globals()[name] = _make(name, fields)
            return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _make(name: str, fields: str) -> Any:
    made = _namedtuple(name, fields, module=__name__)
    made.__repr__ = lambda self: f"torch.return_types.{name}(\n" + ",\n".join(
        f"{field}={value!r}" for field, value in zip(self._fields, self)) + ")"
    return made
