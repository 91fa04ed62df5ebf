"""Recording on and off: no_grad, enable_grad, set_grad_enabled, inference_mode, anomaly detection."""
from __future__ import annotations

import threading

import pytest
from helpers import leaf, values

import minitorch as mt


def recorded(x):
    return (x * 2).requires_grad


def test_no_grad():
    x = leaf(1.0)
    with mt.no_grad():
        assert not mt.is_grad_enabled() and not recorded(x)
        with mt.enable_grad():
            assert recorded(x)
            with mt.no_grad():
                assert not recorded(x)
            assert recorded(x)
        assert not recorded(x)
    assert mt.is_grad_enabled() and recorded(x)


def test_no_grad_is_undone_by_exceptions():
    with pytest.raises(KeyError), mt.no_grad():
        raise KeyError
    assert mt.is_grad_enabled()


@pytest.mark.parametrize("make", [lambda: mt.no_grad, lambda: mt.no_grad(), lambda: mt.inference_mode,
                                  lambda: mt.inference_mode(), lambda: mt.set_grad_enabled(False)],
                         ids=["no_grad", "no_grad()", "inference_mode", "inference_mode()", "set_grad_enabled"])
def test_modes_as_decorators(make):
    @make()
    def f(x, n=1):
        """What f does."""
        return f(x, n - 1) if n else recorded(x)

    assert not f(leaf(1.0), n=3) and mt.is_grad_enabled()
    assert f.__name__ == "f" and f.__doc__ == "What f does."


def test_generators_under_no_grad():
    """Between its steps the caller's mode holds."""
    @mt.no_grad()
    def steps(x):
        sent = yield recorded(x)
        assert sent == "hello"
        yield recorded(x)

    x = leaf(1.0)
    generator = steps(x)
    assert next(generator) is False and mt.is_grad_enabled()
    assert generator.send("hello") is False and mt.is_grad_enabled()
    assert list(generator) == []


def test_generators_are_closed_and_thrown_into():
    log = []

    @mt.no_grad()
    def steps():
        try:
            yield 1
        except KeyError:
            log.append(("caught", mt.is_grad_enabled()))
            yield 2
        finally:
            log.append(("closed", mt.is_grad_enabled()))

    generator = steps()
    assert next(generator) == 1 and generator.throw(KeyError()) == 2
    generator.close()
    assert log == [("caught", False), ("closed", False)] and mt.is_grad_enabled()


def test_set_grad_enabled():
    x = leaf(1.0)
    try:
        mt.set_grad_enabled(False)
        assert not recorded(x)
    finally:
        mt.set_grad_enabled(True)
    assert recorded(x)
    with mt.set_grad_enabled(False):
        assert not recorded(x)
        with mt.set_grad_enabled(True):
            assert recorded(x)
        assert not recorded(x)
    assert recorded(x)


def test_a_mode_can_be_entered_twice():
    off = mt.no_grad()
    with off, off:
        assert not mt.is_grad_enabled()
    assert mt.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = {}

    def work():
        seen["start"] = mt.is_grad_enabled()
        with mt.no_grad():
            inside.set()
            go.wait(10)

    inside, go = threading.Event(), threading.Event()
    with mt.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
    inside.wait(10)
    seen["meanwhile"] = mt.is_grad_enabled()
    go.set()
    thread.join()
    assert seen == {"start": True, "meanwhile": True}


def test_inference_mode():
    x = leaf(1.0, 2.0)
    with mt.inference_mode():
        assert mt.is_inference_mode_enabled() and not mt.is_grad_enabled()
        y = x * 2
        y.add_(1)
    assert not mt.is_inference_mode_enabled()
    assert y.is_inference() and not y.requires_grad
    with pytest.raises(RuntimeError, match=r"[Ii]nference tensor"):
        y.add_(1)
    with pytest.raises(RuntimeError, match=r"[Ii]nference tensor"):
        y.requires_grad_()
    with pytest.raises(RuntimeError, match=r"[Ii]nference tensors cannot be saved"):
        x * y
    (x * y.clone()).sum().backward()
    assert values(x.grad) == [3, 5]
    with mt.inference_mode(False):
        assert recorded(x)


def test_inference_mode_leaves_normal_tensors_alone():
    x = leaf(1.0)
    with mt.inference_mode():
        assert x.requires_grad and not x.is_inference()
        with mt.inference_mode(False):
            assert mt.is_grad_enabled()


def test_backward_under_no_grad():
    x = leaf(3.0)
    y = x * x
    with mt.no_grad():
        y.backward()
    assert x.grad.item() == 6


def test_anomaly_mode_names_the_line():
    x = leaf(2.0)
    with mt.autograd.detect_anomaly():
        y = x * x
    assert "test_modes.py" in y.grad_fn.source
    assert (x * x).grad_fn.source is None


def test_set_detect_anomaly_with_and_without_a_block():
    x = leaf(2.0)
    with mt.autograd.set_detect_anomaly(True):
        assert (x * x).grad_fn.source is not None
    assert (x * x).grad_fn.source is None
    mt.autograd.set_detect_anomaly(True)
    try:
        assert (x * x).grad_fn.source is not None
    finally:
        mt.autograd.set_detect_anomaly(False)
    assert (x * x).grad_fn.source is None


def test_anomaly_mode_finds_nan():
    x = leaf(0.0)
    with pytest.raises(RuntimeError, match=r"(?i)nan"), mt.autograd.detect_anomaly():
        (x.sqrt() * 0).backward()
