"""Fourier transforms, windows and masks: what a table of samples does not say."""
import warnings

import numpy as np
import pytest

import minitorch as mt


def tone(n=200):
    return mt.tensor(np.sin(np.arange(n) * 0.3) + 0.2 * np.cos(np.arange(n) * 1.1))


@pytest.mark.parametrize(("dtype", "result"), [("float32", "complex64"), ("float64", "complex128"),
                                               ("int64", "complex64"), ("bool", "complex64")])
def test_dtypes(dtype, result):
    x = mt.ones(4).to(getattr(mt, dtype))
    assert mt.fft.fft(x).dtype == mt.fft.rfft(x).dtype == getattr(mt, result)
    assert mt.fft.irfft(mt.fft.rfft(x)).dtype == (mt.float64 if dtype == "float64" else mt.float32)


def test_half_is_refused():
    with pytest.raises(RuntimeError, match="Unsupported dtype"):
        mt.fft.fft(mt.ones(4).half())


def test_inverses():
    x = mt.tensor(np.random.default_rng(0).standard_normal((3, 5, 4)))
    for there, back in (("fftn", "ifftn"), ("rfftn", "irfftn"), ("ihfftn", "hfftn")):
        for norm in ("backward", "ortho", "forward"):
            y = getattr(mt.fft, back)(getattr(mt.fft, there)(x, norm=norm), s=x.shape, norm=norm)
            assert np.allclose(y.numpy(), x.numpy(), atol=1e-12), (there, norm)


def test_out():
    x, y = mt.arange(4.0), mt.empty(0, dtype=mt.complex64)
    assert mt.fft.fft(x, out=y) is y and y.shape == (4,)
    with pytest.raises(RuntimeError, match="complex output"):
        mt.fft.fft(x, out=mt.empty(4))


def test_no_dimensions_is_a_copy():
    x = mt.ones(2, dtype=mt.complex64)
    y = mt.fft.fftn(x, dim=())
    y[0] = 5
    assert x[0].item() == 1


@pytest.mark.parametrize("options", [{"hop_length": 5}, {"hop_length": 8, "normalized": True}, {"onesided": False},
                                     {"win_length": 12}, {"pad_mode": "constant"}])
def test_signals_come_back(options):
    x, window = tone(), mt.signal.windows.hann(options.get("win_length", 16), sym=False, dtype=mt.float64)
    spectra = mt.stft(x, 16, window=window, return_complex=True, **options)
    back = {name: value for name, value in options.items() if name != "pad_mode"}
    assert np.allclose(mt.istft(spectra, 16, window=window, length=200, **back).numpy(), x.numpy(), atol=1e-10)
    assert np.allclose(spectra.istft(16, window=window, length=200, **back).numpy(), x.numpy(), atol=1e-10)


def test_a_tone_stands_at_its_frequency():
    x = mt.sin(mt.arange(64.0) * (2 * np.pi * 5 / 16))
    assert mt.stft(x, 16, window=mt.hann_window(16), return_complex=True).abs().mean(1).argmax() == 5


def test_warnings():
    x, window = mt.arange(8.0), mt.hann_window(4)
    with pytest.warns(UserWarning, match="window was not provided") as seen:
        spectra = x.stft(4, return_complex=True)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="return_complex=False"):
        assert mt.stft(x, 4, window=window, return_complex=False).shape == (3, 9, 2)
    with pytest.warns(UserWarning, match="shorter than"):
        assert mt.istft(spectra, 4, window=mt.ones(4), length=15).tolist()[-2:] == [0.0, 0.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mt.istft(mt.stft(x, 4, window=window, return_complex=True), 4, window=window)


def test_masks_of_integers():
    x, m = mt.tensor([[1, 2, 3], [4, 5, 6]]), mt.tensor([[True, False, True], [False, False, False]])
    assert mt.masked.amax(x, 1, mask=m).tolist() == [3, -2 ** 63]
    assert mt.masked.amin(x.to(mt.uint8), 1, mask=m).tolist() == [1, 255]
    assert mt.masked.median(x[:1], 1, mask=m[:1]).tolist() == [1]
    assert mt.masked.sum(x > 2, 1, mask=m).tolist() == [1, 0]
    with pytest.raises(ValueError, match="output dtype"):
        mt.masked.mean(x, mask=m)


@pytest.mark.parametrize("name", ["fft.nfft", "signal.windows.tukey", "masked.MaskedTensor"])
def test_what_is_not_there_says_so(name):
    module, _, last = name.rpartition(".")
    for part in module.split("."):
        module = getattr(mt if part in ("fft", "signal", "masked") else module, part)
    with pytest.raises(AttributeError, match=last):
        getattr(module, last)
