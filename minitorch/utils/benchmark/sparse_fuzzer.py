"""Sparse tensors for `Fuzzer`."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .fuzzer import FuzzedTensor


class FuzzedSparseTensor(FuzzedTensor):
    """A random sparse tensor; the parameters `density`, `coalesced` and `sparse_dim` say how it is filled."""

    def __init__(self, name: str, size: tuple[str | int, ...], min_elements: int | None = None,
                 max_elements: int | None = None, dim_parameter: str | None = None, sparse_dim: str | None = None,
                 nnz: str | None = None, density: str | None = None, coalesced: str | None = None, dtype: Any = None,
                 cuda: bool = False):
        super().__init__(name, size, min_elements=min_elements, max_elements=max_elements,
                         dim_parameter=dim_parameter, dtype=dtype, cuda=cuda)
        self._sparse_dim = sparse_dim

    @staticmethod
    def sparse_tensor_constructor(size: Any, dtype: Any, sparse_dim: int, nnz: int, is_coalesced: bool) -> Any:
        """`nnz` random values at random places of the first `sparse_dim` dimensions; each twice if not coalesced."""
        import minitorch
        size = [size] * sparse_dim if isinstance(size, int) else list(size)
        values = FuzzedTensor.default_tensor_constructor((nnz, *size[sparse_dim:]), dtype)
        places = minitorch.rand(sparse_dim, nnz) * minitorch.as_tensor(size[:sparse_dim]).unsqueeze(1)
        places = places.to(minitorch.int64)
        if not is_coalesced:
            values = minitorch.cat([values, minitorch.randn_like(values)])
            places = minitorch.cat([places, places], 1)
        x = minitorch.sparse_coo_tensor(places, values, size)
        return x.coalesce() if is_coalesced else x

    def _make_tensor(self, params: dict[str, Any], state: np.random.RandomState) -> tuple[Any, dict[str, Any]]:
        size, _, _ = self._sizes(params)
        density = params["density"]
        sparse_dim = min(params["sparse_dim"] if self._sparse_dim else len(size), len(size))
        nnz = math.ceil(sum(size) * density)
        x = self.sparse_tensor_constructor(size, self._dtype, sparse_dim, nnz, params["coalesced"])
        if self._cuda:
            x = x.cuda()
        return x, {"numel": int(x.numel()), "shape": x.size(), "is_coalesced": x.is_coalesced(), "density": density,
                   "sparsity": 1.0 - density, "sparse_dim": x.sparse_dim(), "dense_dim": x.dense_dim(),
                   "is_hybrid": len(size) > sparse_dim, "dtype": str(self._dtype)}
