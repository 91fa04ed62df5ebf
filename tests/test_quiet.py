"""NumPy's warnings: none from what is computed here, whatever filters are set; all others as ever."""
from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

import minitorch as mt

LARGE = 3e38
QUIET = {
    "exp": lambda: mt.tensor(1000.0).exp(), "log": lambda: mt.zeros(1).log(), "div": lambda: mt.zeros(1) / 0,
    "add": lambda: mt.tensor([LARGE]) + LARGE, "product": lambda: mt.full((2, 2), 1e30) @ mt.full((2, 2), 1e30),
    "sum": lambda: mt.full((3,), LARGE).sum(), "std": lambda: mt.ones(1).std(),
    "cast": lambda: mt.tensor([float("nan"), 1e30]).int(), "half": lambda: mt.tensor([1e30]).half(),
    "in place": lambda: mt.tensor([LARGE]).add_(LARGE), "norm": lambda: mt.full((3,), LARGE).norm(),
    "lgamma": lambda: mt.zeros(1).lgamma(), "cumsum": lambda: mt.full((3,), LARGE).cumsum(0),
    "backward": lambda: mt.zeros(1, requires_grad=True).sqrt().sum().backward(),
}


@pytest.mark.parametrize("name", QUIET)
@pytest.mark.parametrize("action", ["error", "always"])
def test_nothing_is_said_of_inf_and_nan(name, action):
    with warnings.catch_warnings(record=action == "always") as caught:
        warnings.simplefilter(action)
        QUIET[name]()
    assert not caught


def test_numpy_itself_warns_as_ever():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.log(np.zeros(1))
        np.full(3, LARGE, np.float32).sum()
    assert [str(w.message) for w in caught] == ["divide by zero encountered in log", "overflow encountered in reduce"]
    assert caught[0].category is RuntimeWarning and caught[0].filename == __file__
    with pytest.raises(FloatingPointError), np.errstate(all="raise"):
        np.log(np.zeros(1))


def test_other_threads_have_a_filter():
    found = []

    def run():
        with warnings.catch_warnings(record=True) as caught:
            mt.zeros(1).log()
            found.append(len(caught))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [0]
