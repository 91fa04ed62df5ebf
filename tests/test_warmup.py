"""`minitorch warmup` compiles into the cache what a later process runs; in a cache of the test's own."""
from __future__ import annotations

import pytest

from minitorch.cli import main

AFTERWARDS = """
from numba.core import event

with event.install_recorder("numba:compile") as compiled:
    import minitorch as mt
    x = mt.randn(9, 30, requires_grad=True)
    mt.softmax(x, 1).backward(mt.ones(9, 30))
print(len(compiled.buffer))
"""


def test_a_later_process_compiles_nothing(run_python, tmp_path):
    pytest.importorskip("numba")
    warm = "from minitorch.cli import main; main(['warmup', 'softmax'])"
    first = run_python(warm, NUMBA_CACHE_DIR=str(tmp_path / "warm"))
    assert "[ 1/1] softmax" in first and "compiled for float32 in" in first
    assert run_python(AFTERWARDS, NUMBA_CACHE_DIR=str(tmp_path / "warm")) == "0"
    assert int(run_python(AFTERWARDS, NUMBA_CACHE_DIR=str(tmp_path / "cold"))) > 0


def test_unknown_family(capsys):
    assert main(["warmup", "nothing"]) == 1
    assert "no family 'nothing'; there are activation" in capsys.readouterr().err
