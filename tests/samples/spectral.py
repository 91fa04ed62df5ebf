"""Short-time Fourier transforms and their windows."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register
from .fft import complex_like, matrix

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def placed(window, length, n):
    before = (n - length) // 2
    return np.pad(np.ones(length) if window is None else window, (before, n - length - before))


def stft(x, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False,
         onesided=None, return_complex=True, align_to_window=None):
    if x.ndim == 2:
        return np.stack([stft(row, n_fft, hop_length, win_length, window, center, pad_mode, normalized, onesided,
                              return_complex, align_to_window) for row in x])
    hop, length = hop_length or n_fft // 4, win_length or n_fft
    if center or align_to_window:
        n = n_fft // 2 if center else (n_fft - length) // 2
        x = np.pad(x, n, MODES[pad_mode] if center else "constant")
    w = placed(window, length, n_fft)
    frames = np.array([x[i:i + n_fft] * w for i in range(0, len(x) - n_fft + 1, hop)])
    y = (frames @ matrix(n_fft, -1)).T / (np.sqrt(n_fft) if normalized else 1)
    if onesided or (onesided is None and not np.iscomplexobj(frames)):
        y = y[:n_fft // 2 + 1]
    return y if return_complex else np.stack([y.real, y.imag], -1)


def istft(x, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None,
          length=None, return_complex=False):
    if x.ndim == 3:
        return np.stack([istft(row, n_fft, hop_length, win_length, window, center, normalized, onesided, length,
                               return_complex) for row in x])
    hop, w = hop_length or n_fft // 4, placed(window, win_length or n_fft, n_fft)
    if not return_complex:  # the half that is left out, or not looked at
        x = x[:n_fft // 2 + 1]
        x = np.concatenate([x, x[1:n_fft - n_fft // 2][::-1].conj()])
        x[0] = x[0].real
        if n_fft % 2 == 0:
            x[n_fft // 2] = x[n_fft // 2].real
    frames = (x.T @ matrix(n_fft, 1)) / (np.sqrt(n_fft) if normalized else n_fft)
    total = n_fft + hop * (len(frames) - 1)
    y, covered = np.zeros(total, frames.dtype), np.zeros(total)
    for i, frame in enumerate(frames):
        y[i * hop:i * hop + n_fft] += frame * w
        covered[i * hop:i * hop + n_fft] += w * w
    start = n_fft // 2 if center else 0
    end = start + length if length else total - start
    y = y[start:end] / covered[start:end]
    y = np.pad(y, (0, max(end - total, 0)))
    return y if return_complex else y.real


def with_window(signal, size, /, **options):
    """A call with a window that is not 0."""
    return Sample(signal, {"window": lambda rng: rng.uniform(0.5, 1.5, size), **options})


WHOLE = {"return_complex": True}
TOLERANT = {"tol": {"float32": 2e-5}, "grad_tol": {"float32": 5e-5}}  # sums of some 8 terms near 10
register(OpCase("stft", stft, [
    with_window(arrays_like((9,)), 4, n_fft=4, **WHOLE),
    with_window(arrays_like((2, 8)), 4, n_fft=4, hop_length=2, **WHOLE),
    with_window(arrays_like((10,)), 3, n_fft=5, hop_length=3, win_length=3, center=False, normalized=True,
                onesided=False, **WHOLE),
    with_window(arrays_like((10,)), 2, n_fft=6, hop_length=2, win_length=2, center=False, align_to_window=True,
                **WHOLE),
    with_window(complex_like(6), 4, n_fft=4, pad_mode="constant"),
    with_window(arrays_like((2, 7)), 3, n_fft=4, pad_mode="replicate", win_length=3, **WHOLE),
], dtypes=WIDE, errors=[
    BadInput((np.ones(8), 4), {}, RuntimeError, "return_complex"),
    BadInput((np.ones(8), 9), {"center": False, **WHOLE}, RuntimeError, "n_fft=9"),
    BadInput((np.ones(8), 4), {"hop_length": 0, **WHOLE}, RuntimeError, "hop_length=0"),
    BadInput((np.ones(8), 4), {"win_length": 5, **WHOLE}, RuntimeError, "win_length=5"),
    BadInput((np.ones(8), 4), {"window": np.ones(3), **WHOLE}, RuntimeError, "window"),
    BadInput((np.ones((1, 1, 8)), 4), dict(WHOLE), RuntimeError, "1D or 2D"),
    BadInput((np.ones(8, np.int64), 4), {"center": False, **WHOLE}, RuntimeError, "floating point"),
    BadInput((np.ones(8), 4), {"align_to_window": True, **WHOLE}, RuntimeError, "align_to_window"),
    BadInput((np.ones(8, np.complex128), 4), {"onesided": True}, RuntimeError, "onesided"),
], **TOLERANT))
register(OpCase("istft", istft, [
    with_window(complex_like(3, 4), 4, n_fft=4),
    with_window(complex_like(2, 3, 4), 4, n_fft=4, hop_length=2),
    with_window(complex_like(3, 4), 4, n_fft=5, hop_length=1, win_length=4, normalized=True, length=4),
    with_window(complex_like(4, 3), 4, n_fft=4, hop_length=2, return_complex=True, center=False),
    with_window(complex_like(4, 3), 4, n_fft=4, hop_length=2, onesided=False),
], dtypes=WIDE, errors=[
    BadInput((np.ones((3, 4)), 4), {}, RuntimeError, "complex-valued"),
    BadInput((np.ones((3, 4), np.complex128), 6), {}, RuntimeError, "match n_fft / 2"),
    BadInput((np.ones((3, 0), np.complex128), 4), {}, RuntimeError, "empty"),
    BadInput((np.ones((3, 4), np.complex128), 4), {"hop_length": 5}, RuntimeError, "hop_length=5"),
    BadInput((np.ones((3, 4), np.complex128), 4), {"window": np.zeros(4)}, RuntimeError, "overlap add min"),
    BadInput((np.ones((3, 4), np.complex128), 4), {"return_complex": True}, RuntimeError, "onesided"),
], **TOLERANT))


# Windows

def cosines(*weights):
    def curve(n):
        x = 2 * np.pi * np.arange(n) / (n - 1)
        return sum((-1) ** j * w * np.cos(j * x) for j, w in enumerate(weights))
    return curve


def bell(n, std=1.0):
    return np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / std) ** 2)


def spike(n, tau=1.0, center=None):
    return np.exp(-np.abs(np.arange(n) - ((n - 1) / 2 if center is None else center)) / tau)


SHAPES = {
    "bartlett": (np.bartlett,), "blackman": (cosines(0.42, 0.5, 0.08),), "hamming": (np.hamming,),
    "hann": (np.hanning,),
    "cosine": (lambda n: np.sin(np.pi * (np.arange(n) + 0.5) / n),),
    "exponential": (spike, {"tau": 2.5}, {"center": 1.0, "sym": False}), "gaussian": (bell, {"std": 2.0}),
    "kaiser": (lambda n, beta=12.0: np.kaiser(n, beta), {"beta": 3.0}),
    "nuttall": (cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),),
    "general_hamming": (lambda n, alpha=0.54: cosines(alpha, 1 - alpha)(n), {"alpha": 0.7}),
    "general_cosine": (lambda n, a=(): cosines(*a)(n), {"a": [0.5, 0.3, 0.2]})}
NEEDED = {"general_cosine": {"a": (0.6, 0.4)}}
WRONG = {"exponential": {"tau": 0.0}, "gaussian": {"std": -1.0}, "kaiser": {"beta": -1.0}, "general_cosine": {"a": []}}


def sampled(curve):
    def window(n, sym=True, dtype="float32", **options):
        if n < 2:
            return np.ones(n, dtype)
        return (curve(n, **options) if sym else curve(n + 1, **options)[:-1]).astype(dtype)
    return window


for _name, (_curve, *_more) in SHAPES.items():
    _needed = NEEDED.get(_name, {})
    register(OpCase(f"signal.windows.{_name}", sampled(_curve), [
        Sample((n,), {**_needed, **options}) for n, options in
        ((5, {}), (6, {"sym": False}), (1, {}), (0, {}), (4, {"dtype": "float64"}), *((7, o) for o in _more))],
        errors=[BadInput((-1,), dict(_needed), ValueError, "non-negative"),
                BadInput((3,), {**_needed, "dtype": "int64"}, ValueError, "float32 or float64"),
                *([BadInput((3,), WRONG[_name], ValueError, ".")] if _name in WRONG else [])],
        dtypes=("float32",), grad=False, torch=None, tol={"float32": 1e-6}))
