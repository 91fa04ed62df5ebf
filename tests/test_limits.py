"""Rooflines: the machine's measured limits, what a call costs, and what is kept of it."""
import numpy as np
import pytest
from minitorch_kernels import keeping, kernels, limits
from minitorch_kernels.costs import cost
from minitorch_kernels.table import watch

k = kernels(np)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITORCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_binds():
    bandwidth = {pattern: np.geomspace(1e11, 1e10, len(limits.SIZES)).tolist() for pattern in limits.PATTERNS}
    found = limits.Limits({"float32": 1e11, "float64": 5e10}, bandwidth)
    assert found.seconds(0, 1e5) == (pytest.approx(1e-6), "cache")
    assert found.seconds(0, 1e9) == (pytest.approx(0.1), "memory")
    assert found.seconds(1e12, 1e9) == (pytest.approx(10), "arithmetic")
    assert found.seconds(1e12, 1e9, dtype="float64") == (pytest.approx(20), "arithmetic")
    assert found.seconds(0, 1e9, "update")[0] < 0.1  # less of it is held at once


def test_each_stream_moves():
    measured = pytest.importorskip("minitorch_kernels.cpu.limits", reason="Numba is not installed")
    assert set(measured.PATTERNS) == set(limits.PATTERNS)
    for kernels_of in measured.PATTERNS.values():
        assert all(measured.stream(1, 1 << 16, *kernel) > 1e8 for kernel in kernels_of)
    single, double = (measured.arithmetic(1, dtype) for dtype in ("float32", "float64"))
    assert single > double > 1e8


def test_the_better_of_two_measurements_is_kept(folder, monkeypatch):
    measured = pytest.importorskip("minitorch_kernels.cpu.limits", reason="Numba is not installed")
    monkeypatch.setattr(measured, "arithmetic", lambda threads, dtype: 2e9)
    monkeypatch.setattr(measured, "bandwidth", lambda threads, size, pattern: 1e9)
    assert limits.measure(7).flops == {"float32": 2e9, "float64": 2e9}
    monkeypatch.setattr(measured, "arithmetic", lambda threads, dtype: 1e9)
    monkeypatch.setattr(measured, "bandwidth", lambda threads, size, pattern: 3e9)
    again = limits.measure(7)
    assert again.flops["float32"] == 2e9 and set(again.bandwidth["read"]) == {3e9}
    assert limits.limits(7) == again
    assert again.results()["GB/s"]["write"]["0.125 MiB"] == 3.0 and "2.0 in float32" in str(again)


def test_a_quieter_machine_is_measured_again(folder, monkeypatch):
    measured = pytest.importorskip("minitorch_kernels.cpu.limits", reason="Numba is not installed")
    monkeypatch.setattr(measured, "bandwidth", lambda threads, size, pattern: 1e9)
    found = []
    for load, rate in ((2.0, 1e9), (2.2, 7e9), (0.1, 5e9), (0.2, 9e9)):
        monkeypatch.setattr(limits, "_load", lambda load=load: load)
        monkeypatch.setattr(measured, "arithmetic", lambda threads, dtype, rate=rate: rate)
        limits._limits.cache_clear()
        found.append(limits.limits(8).flops["float32"])
    limits._limits.cache_clear()
    assert found == [1e9, 1e9, 5e9, 5e9]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', '{"KEY": {"flops": {}}}', '{"KEY": {"flops": 3}}'])
def test_a_damaged_file_is_measured_anew(folder, monkeypatch, text):
    measured = pytest.importorskip("minitorch_kernels.cpu.limits", reason="Numba is not installed")
    monkeypatch.setattr(measured, "arithmetic", lambda threads, dtype: 2e9)
    monkeypatch.setattr(measured, "bandwidth", lambda threads, size, pattern: 1e9)
    folder.mkdir()
    (folder / "limits.json").write_text(text.replace("KEY", limits._key(9)))
    limits._limits.cache_clear()
    assert limits.limits(9).flops["float64"] == 2e9
    limits._limits.cache_clear()


def test_keeping(folder):
    assert keeping.read("this") == {}
    keeping.write("this", {"a": [1, 2.5]})
    assert keeping.read("this") == {"a": [1, 2.5]} and [p.name for p in folder.iterdir()] == ["this.json"]


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINITORCH_CACHE", str(tmp_path / "file" / "below"))
    keeping.write("this", {"a": 1})
    assert keeping.read("this") == {}


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.mark.parametrize("name, arguments, flops, moved, pattern", [
    ("matmul", (ones(5, 7), ones(7, 3)), 2 * 5 * 7 * 3, 4 * (35 + 21 + 15), "write"),
    ("matmul", (ones(2, 5, 7), ones(7, 3)), 2 * 2 * 5 * 7 * 3, 4 * (70 + 21 + 30), "write"),
    ("linear", (ones(4, 6), ones(3, 6), ones(3)), 2 * 4 * 6 * 3, 4 * (24 + 18 + 3 + 12), "write"),
    ("conv2d", (ones(2, 3, 8, 8), ones(4, 3, 3, 3), None, (1, 1), (1, 1), (1, 1), 1),
     2 * 2 * 4 * 64 * 27, 4 * (384 + 108 + 512), "write"),
    ("conv2d_dx", (ones(2, 4, 8, 8), ones(4, 3, 3, 3), (2, 3, 8, 8), (1, 1), (1, 1), (1, 1), 1),
     2 * 2 * 4 * 64 * 27, 4 * (512 + 108 + 384), "write"),
    ("conv2d_dw", (ones(2, 4, 8, 8), ones(2, 3, 8, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
     2 * 2 * 4 * 64 * 27, 4 * (512 + 384 + 108), "write"),
    ("attention", (ones(2, 5, 8), ones(2, 7, 8), ones(2, 7, 8), None, False, 1.0),
     2 * 2 * 5 * 7 * (8 + 8), 4 * (80 + 112 + 112 + 80 + 10), "write"),
    ("exp", (ones(10, 10),), 2000, 800, "write"),
    ("sum", (ones(100, 100), 0, False), 10_000, 4 * 10_100, "read"),
    ("add", (ones(100, dtype=np.float64), 1.0), 100, 1600, "write"),
])
def test_costs(name, arguments, flops, moved, pattern):
    found = cost(name, arguments, getattr(k, name)(*arguments))
    assert found[:3] == (flops, moved, pattern)
    assert found.dtype == ("float64" if arguments[0].dtype == np.float64 else "float32")


def test_the_cost_of_a_step_that_changes_its_arguments():
    p, g, m, v = (ones(10) for _ in range(4))
    found = cost("adam_step", (p, g, m, v, None, 1, 0.1, 0.9, 0.99, 1e-8, 0.0, False, False, False), None)
    assert found[:3] == (140, 40 * 7, "update")


def test_watched_calls():
    seen = []

    def observer(name, version, run, arguments, options):
        seen.append((name, version))
        return run(*arguments, **options)

    before = k.matmul
    with watch(observer):
        assert k.matmul(ones(2, 2), ones(2, 2)).sum() == 8
        with pytest.raises(RuntimeError, match="already"), watch(observer):
            pass
        k.softmax(ones(2, 2).astype(int), 1)
    assert seen == [("matmul", "blas"), ("softmax", "reference")]
    k.matmul(ones(2, 2), ones(2, 2))
    assert len(seen) == 2 and k.matmul.__qualname__ == before.__qualname__


def test_what_is_added_or_picked_counts_not_the_table_it_goes_to_or_comes_from():
    x, index, table = np.ones((64, 16), np.float32), np.zeros(64, np.int64), np.ones((1000, 16), np.float32)
    assert cost("embedding_dw", (x, index, table.shape), table)[:2] == (64 * 16, x.nbytes + index.nbytes + table.nbytes)
    places = np.zeros((5, 16), np.int64)
    assert cost("gather", (table, places, 0), table[:5])[:2] == (0, 2 * 5 * 16 * 4 + places.nbytes)
    assert cost("nll_loss", (x, index, None, -100, "mean"), np.float32(0)).moved == 64 * (4 + 8) + 4
