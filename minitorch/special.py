"""Special functions under PyTorch's names: `torch.special`."""
from __future__ import annotations

from typing import Any as _Any

from minitorch_kernels.bessel import POLYNOMIALS as _POLYNOMIALS

from .inplace import write as _write
from .op import FUNCTIONS as _FUNCTIONS
from .op import OPS as _OPS
from .tensor import Tensor as _Tensor

_SAME = """digamma erf erfc erfinv exp2 expm1 i0 log1p log_softmax logit logsumexp polygamma round sinc softmax
xlogy"""
_RENAMED = {"expit": "sigmoid", "psi": "digamma", "gammaln": "lgamma", "gammainc": "igamma", "gammaincc": "igammac",
            "multigammaln": "mvlgamma"}
_OWN = {name: name for name in ("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "entr", "erfcx", "i0e",
                                "i1", "i1e", "log_ndtr", "ndtr", "ndtri", "xlog1py", "zeta")}
_OWN |= {"scaled_modified_bessel_k0": "k0e", "scaled_modified_bessel_k1": "k1e", "modified_bessel_i1": "i1"}

globals().update({_name: _FUNCTIONS[_name] for _name in _SAME.split()})
globals().update({_new: _FUNCTIONS[_name] for _new, _name in _RENAMED.items()})
globals().update({_new: _OPS[_name].call for _new, _name in _OWN.items()})


def modified_bessel_i0(input: _Tensor, *, out: _Tensor | None = None) -> _Tensor:
    """The modified Bessel function I₀."""
    return _OPS["i0"].call(input, out=out)


def modified_bessel_k0(input: _Tensor, *, out: _Tensor | None = None) -> _Tensor:
    """The modified Bessel function K₀."""
    return _unscaled("k0e", input, out)


def modified_bessel_k1(input: _Tensor, *, out: _Tensor | None = None) -> _Tensor:
    """The modified Bessel function K₁."""
    return _unscaled("k1e", input, out)


def spherical_bessel_j0(input: _Tensor, *, out: _Tensor | None = None) -> _Tensor:
    """sin(x) / x."""
    x = input.detach()
    y = (x / 3.141592653589793).sinc()
    return y if out is None else _write(out, y, resize=True)


def _unscaled(name: str, x: _Tensor, out: _Tensor | None) -> _Tensor:
    y = _OPS[name].call(x) * (x.detach() * -1.0).exp()
    return y if out is None else _write(out, y, resize=True)


def _polynomial(name: str) -> _Any:
    def function(input, n, *, out=None):
        y = _OPS["polynomial"].call(input, n, name)
        return y if out is None else _write(out, y, resize=True)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {name.replace('_', ' ')} of degree `n`, of which one is given as a number at most."
    return function


globals().update({_name: _polynomial(_name) for _name in _POLYNOMIALS})
