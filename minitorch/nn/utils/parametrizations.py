"""Ready parametrizations of weights: direction and length apart, spectral norm 1, orthogonal matrices."""
from __future__ import annotations

from typing import Any

from ...device import kernels_of
from ...engine import no_grad
from ...op import FUNCTIONS
from ...tensor import Tensor
from ..module import Module
from . import parametrize
from .norms import norm_except, normalised, rows_of

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """weight = g v / |v|, with g a length for each index of `dim` (None: one). Salimans and Kingma 2016.

    g and v are parametrizations.NAME.original0 and original1; the state of the older `utils.weight_norm` loads too.

    >>> from minitorch import nn
    >>> [name for name, p in weight_norm(nn.Linear(3, 2)).named_parameters()]
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state: dict, prefix: str, *rest: Any) -> None:
        for i, old in enumerate((f"{prefix}{name}_g", f"{prefix}{name}_v")):
            if old in state:
                state[f"{prefix}parametrizations.{name}.original{i}"] = state.pop(old)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """weight / sigma(weight), the largest singular value, by power iteration in training. Miyato et al. 2018.

    `dim` are the rows of the weight as a matrix: 0, or 1 for transposed convolutions. Raises ValueError where there is
    no such tensor, or no iterations.
    """
    weight = _tensor(module, name)
    if dim is None:
        dim = int(parametrize.type_before_parametrizations(module).__name__.startswith("ConvTranspose"))
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError("Dimension out of range (expected to be in range of "
                             f"[{-weight.ndim}, {weight.ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError("Expected n_power_iterations to be positive, but got "
                             f"n_power_iterations={n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = rows_of(weight, self.dim)
                u, v = (normalised(matrix.new_empty(n).normal_(0, 1), eps) for n in matrix.shape)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            self._iterate(matrix, 15)

    @no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            self._u.copy_(normalised(matrix.mv(self._v), self.eps))
            self._v.copy_(normalised(matrix.t().mv(self._u), self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalised(weight, self.eps)
        matrix = rows_of(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # backward keeps them; the next forward changes the buffers
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:
    """A matrix, or a batch of them, with orthonormal columns, or rows where it is wide.

    `orthogonal_map` is "matrix_exp", exp(A), or "cayley", (I - A/2)^-1 (I + A/2), of a skew-symmetric A, or
    "householder", a product of reflections: the default for matrices that are not square. With `use_trivialization`
    that is multiplied by a fixed matrix `base`, so that training starts from the present weight, made orthogonal.
    Lezcano Casado 2019. Raises ValueError for another map, or a tensor of fewer than two dimensions.
    """
    weight = _tensor(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError('orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
                         f"Got: {orthogonal_map}")
    parametrize.register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization),
                                         unsafe=True)
    return module


class _Orthogonal(Module):
    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            q = _reflections(a, 2.0 / (1.0 + (a * a).sum(-2)), n, k)
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            a = x.tril()
            if n != k:
                a = FUNCTIONS["cat"]([a, a.new_zeros(*a.shape[:-1], n - k)], -1)
            a = a - a.mH
            q = (FUNCTIONS["matrix_exp"](a) if self.orthogonal_map == "matrix_exp" else _cayley(a))[..., :k]
        if "base" in self._buffers:
            q = self.base @ q
        return q.mT if wide else q

    @no_grad()
    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. "
                             f"Got a tensor of shape {q.shape}.")
        wide, given = q.shape[-2] < q.shape[-1], q
        q = q.mT if wide else q
        n, k = q.shape[-2:]
        if "base" not in self._buffers:
            if self.orthogonal_map != "householder":
                raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley "
                                          "parametrizations when use_trivialization=False.")
            a = _reflectors_of(q)
            return a.mT if wide else a
        if n != k:
            q = FUNCTIONS["cat"]([q, FUNCTIONS["randn"](*q.shape[:-1], n - k, dtype=q.dtype, device=q.device)], -1)
        self.base = q.clone() if n == k and _is_orthogonal(q) else _orthogonalised(q)
        return -FUNCTIONS["eye"](*given.shape[-2:], dtype=q.dtype, device=q.device).expand_as(given).clone()


def _cayley(a: Tensor) -> Tensor:
    one = FUNCTIONS["eye"](a.shape[-1], dtype=a.dtype, device=a.device)
    return _linalg().solve(one - 0.5 * a, one + 0.5 * a)


def _reflections(a: Tensor, tau: Tensor, n: int, k: int) -> Tensor:
    """The first k columns of H_1 ... H_k, with H_i = I - tau_i v v^T, v the column i of `a` with a 1 at i."""
    one = FUNCTIONS["eye"](n, k, dtype=a.dtype, device=a.device)
    vectors = a + one
    q = one.expand_as(a)
    for i in reversed(range(k)):
        v = vectors[..., i:i + 1]
        q = q - tau[..., i, None, None] * v @ (v.mT @ q)
    return q


def _reflectors_of(q: Tensor) -> Tensor:
    """What `_reflections` makes `q` from: the vectors below the diagonal, on it the signs of the columns."""
    raw, tau = kernels_of(q._array).xp.linalg.qr(q._array, mode="raw")
    a, tau = Tensor._wrap(raw).mT, Tensor._wrap(tau)
    signs = a.diagonal(dim1=-2, dim2=-1).sign() * (1 - 2 * tau.eq(0).to(a.dtype))
    one = FUNCTIONS["eye"](*a.shape[-2:], dtype=a.dtype, device=a.device)
    return a * (1 - one) + one * signs.unsqueeze(-2)


def _orthogonalised(q: Tensor) -> Tensor:
    """The Q of Q R with a positive diagonal of R."""
    q, r = _linalg().qr(q)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    one = FUNCTIONS["eye"](q.shape[-1], dtype=q.dtype, device=q.device)
    eps = kernels_of(q._array).xp.finfo(q._array.dtype).eps
    return bool(FUNCTIONS["allclose"](q.mH @ q, one, atol=10.0 * q.shape[-2] * float(eps)))


def _linalg() -> Any:
    from ... import linalg

    return linalg


def _tensor(module: Module, name: str) -> Tensor:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return tensor
