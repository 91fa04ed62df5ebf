"""Short-time Fourier transforms: the spectra of overlapping windows of a signal, and the signal of such spectra."""
from __future__ import annotations

import math
import warnings
from typing import Any

from ..errors import DTypeError, ShapeError
from ..op import FUNCTIONS, OPS, composite
from ..tensor import Tensor
from .fft import fft_c2c, fft_c2r, fft_r2c
from .padding import pad
from .strided import windows_dx

_CALLER = {"stft": 3, "istft": 2}  # how many frames above stands who called: one is autocast's, around stft


@composite
def stft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect",
         normalized=False, onesided=None, return_complex=None, align_to_window=None):
    """The spectra of windows of `n_fft` samples, `hop_length` (n_fft / 4) apart, of a signal (length) or (N, length).

    Returns (N, frequencies, windows), complex; with `return_complex=False`, which is going out of use, real and
    imaginary parts in a last dimension. Each window is multiplied by `window` (`win_length` elements, in the middle of
    the n_fft; ones). `center` pads the signal by n_fft / 2 on both sides, so that window t is centred at t hop_length;
    `align_to_window`, where it does not, lets the first begin with the signal's first sample under `window`.
    `normalized` divides by √n_fft. `onesided`, the default for real signals, leaves out conjugates: n_fft // 2 + 1
    frequencies. Raises RuntimeError where a size does not fit.

    >>> import minitorch as torch
    >>> torch.stft(torch.ones(8), 4, hop_length=4, window=torch.ones(4), center=False, return_complex=True)
    tensor([[4.+0.j, 4.+0.j],
            [0.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft: align_to_window should only be set when center = false")
        if input.ndim in (1, 2):
            input = _padded(input, n_fft // 2, pad_mode)
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    whole = input.is_complex() or (isinstance(window, Tensor) and window.is_complex())
    onesided = not whole if onesided is None else onesided
    if onesided and whole:
        raise RuntimeError("stft: Cannot have onesided output if window or input is complex")
    if return_complex is None and not whole:
        raise RuntimeError("stft: requires the return_complex parameter be given for real inputs; "
                           "return_complex=True is the one to use")
    if return_complex is False:
        warnings.warn("stft with return_complex=False is deprecated: use return_complex=True and view_as_real",
                      stacklevel=_CALLER["stft"])
    _check_window("stft", window)
    _check_stft(input, n_fft, hop_length, win_length, window)
    signal = input if input.ndim == 2 else input.unsqueeze(0)
    if align_to_window and not center:
        signal = FUNCTIONS["constant_pad"](signal, [(n_fft - win_length) // 2] * 2, 0.0)
    frames = signal.unfold(-1, n_fft, hop_length)
    if window is not None or win_length < n_fft:
        frames = frames * _placed(window, win_length, n_fft, signal)
    scale = 1 / math.sqrt(n_fft) if normalized else 1.0
    if onesided:
        spectra = fft_r2c(frames, 2, scale)
    else:
        spectra = fft_c2c(frames if frames.is_complex() else frames.to(frames.dtype.to_complex()), (2,), scale, False)
    y = spectra.transpose(1, 2)
    y = y if input.ndim == 2 else y.squeeze(0)
    return y if return_complex or return_complex is None else FUNCTIONS["view_as_real"](y)


@composite
def istft(input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None,
          length=None, return_complex=False):
    """The signal whose `stft` with the same arguments is nearest to `input`, (frequencies, windows) or (N, ., .).

    The windows' inverse transforms are weighted by `window`, added where they overlap, and divided by the sum of the
    squares of the weights (Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform").
    Raises RuntimeError where such a sum is 0. `length` is that of the result, filled up with zeros; `return_complex`
    says that the signal is complex.

    >>> import minitorch as torch
    >>> x, window = torch.arange(8.0), torch.hann_window(4)
    >>> torch.istft(torch.stft(x, 4, window=window, return_complex=True), 4, window=window)
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    _check_window("istft", window)
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if not input.is_complex():
        raise DTypeError("istft: requires a complex-valued input tensor matching the output from stft with "
                         f"return_complex=True, got {input.dtype}")
    if window is not None and window.is_complex() and not return_complex:
        raise RuntimeError("istft: Complex windows are incompatible with return_complex=False")
    onesided = input.ndim > 1 and input._array.shape[-2] != n_fft if onesided is None else onesided
    _check_istft(input, n_fft, hop_length, win_length, window, onesided)
    if onesided and return_complex:
        raise RuntimeError("istft: Cannot have onesided output if window or input is complex")
    spectra = (input if input.ndim == 3 else input.unsqueeze(0)).transpose(1, 2)
    scale = 1 / math.sqrt(n_fft) if normalized else 1 / n_fft
    if return_complex:
        frames = fft_c2c(spectra, (2,), scale, True)
    else:
        frames = fft_c2r(spectra if onesided else spectra.narrow(2, 0, n_fft // 2 + 1), 2, n_fft, scale)
    weights = _placed(window, win_length, n_fft, frames)
    rows, count, _ = frames._array.shape
    total = n_fft + hop_length * (count - 1)
    y = windows_dx(frames * weights, (rows, total), 1, n_fft, hop_length)
    covered = windows_dx((weights * weights).expand(1, count, n_fft), (1, total), 1, n_fft, hop_length)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else start + length
    y, covered = y[:, start:end], covered[:, start:end]
    if covered._array.size == 0 or abs(covered._array).min() < 1e-11:
        raise RuntimeError(f"istft: window overlap add min: samples {start} to {end} are not all under a window that "
                           f"is not 0 (hop_length={hop_length}, win_length={win_length}, center={center})")
    y = y / covered
    if end > total:
        warnings.warn("istft: The length of signal is shorter than the length parameter. Result is being padded with "
                      "zeros in the tail. Please check your center and hop_length settings.",
                      stacklevel=_CALLER["istft"])
        y = FUNCTIONS["constant_pad"](y, [0, end - total], 0.0)
    return y if input.ndim == 3 else y.squeeze(0)


def _padded(x: Tensor, n: int, mode: str) -> Tensor:
    """`x` with n more samples at both ends."""
    return pad(x.reshape(*[1] * (3 - x.ndim), *x._array.shape), (n, n), mode).reshape(*x._array.shape[:-1], -1)


def _placed(window: Tensor | None, length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window (of ones where there is none) in the middle of n_fft samples."""
    if window is None:
        window = OPS["real"].call(like).new_ones(length)
    before = (n_fft - length) // 2
    return FUNCTIONS["constant_pad"](window, [before, n_fft - length - before], 0.0) if length < n_fft else window


def _check_window(name: str, window: Any) -> None:
    if window is None:
        warnings.warn(f"{name}: A window was not provided. A rectangular window will be applied, which lets "
                      "frequencies leak into others; torch.hann_window(n_fft) is a better one.",
                      stacklevel=_CALLER[name] + 1)
    elif not isinstance(window, Tensor):
        raise TypeError(f"{name}(): argument 'window' must be Tensor, not {type(window).__name__}")


def _check_stft(x: Tensor, n_fft: int, hop: int, length: int, window: Tensor | None) -> None:
    shape = tuple(x._array.shape)
    if not (x.is_floating_point() or x.is_complex()):
        raise DTypeError(f"stft: expected a tensor of floating point or complex values, got {x.dtype}")
    if x._array.dtype.itemsize == 2:
        raise DTypeError(f"stft: Unsupported dtype {x.dtype}")
    if len(shape) not in (1, 2):
        raise ShapeError(f"stft: expected a 1D or 2D tensor, got shape {shape}")
    if not 0 < n_fft <= shape[-1]:
        raise ShapeError(f"stft: expected 0 < n_fft < {shape[-1]}, but got n_fft={n_fft} for a signal of {shape}")
    if hop <= 0:
        raise ShapeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    _check_length("stft", n_fft, length, window)


def _check_istft(x: Tensor, n_fft: int, hop: int, length: int, window: Tensor | None, onesided: bool) -> None:
    shape = tuple(x._array.shape)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ShapeError("istft: expected (frequencies, windows) or (N, frequencies, windows), none of them empty, got "
                         f"shape {shape}")
    expected = n_fft // 2 + 1 if onesided else n_fft
    if shape[-2] != expected:
        raise ShapeError("istft: expected the frequency dimension (3rd to the last) of the input tensor to match "
                         f"{'n_fft / 2 + 1' if onesided else 'n_fft'} = {expected} when onesided={onesided}, but got "
                         f"{shape[-2]}")
    if not 0 < hop <= length:
        raise ShapeError(f"istft: expected 0 < hop_length <= win_length, got hop_length={hop}, win_length={length}")
    _check_length("istft", n_fft, length, window)


def _check_length(name: str, n_fft: int, length: int, window: Tensor | None) -> None:
    if not 0 < length <= n_fft:
        raise ShapeError(f"{name}: expected 0 < win_length <= n_fft = {n_fft}, but got win_length={length}")
    if window is not None and tuple(window._array.shape) != (length,):
        raise ShapeError(f"{name}: expected a 1D window tensor of size equal to win_length={length}, but got window "
                         f"of shape {tuple(window._array.shape)}")
