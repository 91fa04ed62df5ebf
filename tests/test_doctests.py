"""Every example in the docstrings of minitorch and minitorch_kernels."""
from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import minitorch_kernels
import numpy as np
import pytest

import minitorch

MODULES = sorted(name for package in (minitorch, minitorch_kernels)
                 for name in [package.__name__, *(m.name for m in pkgutil.walk_packages(
                     package.__path__, package.__name__ + ".", onerror=lambda name: None))]
                 if not name.endswith("__main__"))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("minitorch", "minitorch_kernels", ""):
            raise
        pytest.skip(f"{error.name} is not installed")
    names = {"minitorch": minitorch, "torch": minitorch, "np": np}
    result = doctest.testmod(module, extraglobs={k: v for k, v in names.items() if k not in vars(module)},
                             optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert not result.failed, f"{result.failed} of {result.attempted} examples in {name} fail"


@pytest.mark.parametrize("page", ["README.md", "minitorch/README.md", "kernels/README.md"])
def test_pages(page):
    """The snippets of the pages that explain the project run, each page from top to bottom."""
    path = Path(__file__).parents[1] / page
    result = doctest.testfile(str(path), module_relative=False,
                              optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.attempted and not result.failed, f"{result.failed} of {result.attempted} examples in {page} fail"
