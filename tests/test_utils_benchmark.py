"""`torch.utils.benchmark`: statistics and the table beside PyTorch's."""
import math
import pickle

import numpy as np
import pytest

import minitorch as mt
from minitorch.utils import benchmark as ours


def measurements(module):
    """The same figures for both packages: two labels, two environments, a hole, a wide spread."""
    rng = np.random.default_rng(0)
    out = []
    for threads in (1, 4):
        for label, sub, size, seconds in [("add", "float", "n = 1", 2e-6), ("add", "float", "n = 64", 3e-5),
                                          ("add", "a longer name", "n = 1", 2.1e-6), ("add", "int", "n = 64", 4e-3),
                                          (None, None, "all", 0.7)]:
            task = module.TaskSpec("x + y", "pass", "", label, sub, size, None, threads)
            for spread in (1e-3, 0.4):
                out.append(module.Measurement(5, list(5 * seconds * (1 + spread * rng.random(9))), task))
    return out


@pytest.fixture
def theirs():
    pytest.importorskip("torch")
    return pytest.importorskip("torch.utils.benchmark")


@pytest.mark.parametrize("options", [[], ["trim_significant_figures"], ["colorize"], ["highlight_warnings"],
                                     ["trim_significant_figures", "colorize", "highlight_warnings"]])
def test_the_table_is_pytorchs(theirs, options):
    tables = []
    for module in (ours, theirs):
        table = module.Compare(measurements(module))
        for option in options:
            getattr(table, option)()
        tables.append(str(table))
    assert tables[0] == tables[1]


def test_the_table_by_row_and_environment(theirs):
    tables = []
    for module in (ours, theirs):
        tasks = [module.TaskSpec("f(x)", "pass", label="f", description=size, env=env)
                 for env in ("old", "new one") for size in ("1", "2")]
        # PyTorch reads the environment of a measurement from a misspelt name: give it
        results = [module.Measurement(1, [1e-3 * 3 ** i], task) for i, task in enumerate(tasks)]
        if module is theirs:
            for r in results:
                r.taskspec = r.task_spec
            merge = module.Measurement.merge
            module.Measurement.merge, table = staticmethod(list), module.Compare(results)
            table.colorize(rowwise=True)
            tables.append(str(table))
            module.Measurement.merge = staticmethod(merge)
        else:
            table = module.Compare(results)
            table.colorize(rowwise=True)
            tables.append(str(table))
    assert tables[0] == tables[1]


def test_the_repr_is_pytorchs(theirs):
    for mine, other in zip(measurements(ours), measurements(theirs)):
        assert repr(mine).splitlines()[1:] == repr(other).splitlines()[1:]
        assert mine.significant_figures == other.significant_figures
    spec = dict(stmt="x = f()\ny = x", setup="a\nb", sub_label="s", description="d", num_threads=2)
    assert ours.TaskSpec(**spec).summarize() == theirs.TaskSpec(**spec).summarize()
    one = [m.Measurement(7, [2.0], m.TaskSpec(**spec)) for m in (ours, theirs)]
    assert repr(one[0]).splitlines()[1:] == repr(one[1]).splitlines()[1:]


def test_timers_measure():
    calls = []
    timer = ours.Timer("""
        calls.append(torch.get_num_threads())
    """, globals={"calls": calls}, num_threads=2, label="call", sub_label="list", description="d")
    before = mt.get_num_threads()
    m = timer.timeit(300)
    assert len(calls) == 303 and set(calls) == {2} and mt.get_num_threads() == before  # 3 to warm up
    assert m.number_per_run == 300 and 0 < m.median == m.mean < 1 and m.as_row_name == "list"
    m = timer.blocked_autorange(min_run_time=0.01)
    assert sum(m.raw_times) >= 0.01 and m.number_per_run == 10 ** round(math.log10(m.number_per_run))
    seen = []
    m = timer.adaptive_autorange(threshold=1e9, max_run_time=0.5, callback=lambda number, t: seen.append((number, t)))
    assert len(m.raw_times) >= 4 and seen == [(m.number_per_run, t) for t in m.raw_times]
    assert pickle.loads(pickle.dumps(m)).median == m.median


def test_statistics_in_closed_form():
    m = ours.Measurement(10, [5e-3, 1e-3, 4e-3, 2e-3, 3e-3], ours.TaskSpec("f()", "pass", label="f"))
    assert (m.median, m.mean) == pytest.approx((3e-4, 3e-4)) and m.iqr == pytest.approx(2e-4) and m.has_warnings
    assert not m.meets_confidence(0.5) and m.meets_confidence(0.7)
    assert m.title == "f" and m.num_threads == 1 and not hasattr(m, "wall")
    assert "IQR:    200.00 us (200.00 to 400.00)" in repr(m) and "66.7% of the median" in repr(m)
    assert [ours.select_unit(t)[0] for t in (2e-8, 3e-5, 0.5, 1.0, 70)] == ["ns", "us", "ms", "s", "s"]
    assert ours.trim_sigfig(31415.0, 2) == 31000 and ours.unit_to_english("ms") == "millisecond"


@pytest.mark.parametrize(("wrong", "kind", "message"), [
    (lambda: ours.Timer(print), ValueError, "stmt must be a str"),
    (lambda: ours.Timer("x", language="c++"), NotImplementedError, "Python statement"),
    (lambda: ours.Timer("x", language="java"), ValueError, "java"),
    (lambda: ours.Timer("x", global_setup="#include <a>"), ValueError, "global_setup"),
    (lambda: ours.Timer("x").repeat(), NotImplementedError, "blocked_autorange"),
    (lambda: ours.Timer("x").collect_callgrind(), OSError, "blocked_autorange"),
    (lambda: ours.Compare([1.0]), ValueError, "Measurement"),
    (lambda: ours.Fuzzer, AttributeError, "nearest that exists is 'hypothesis'"),
    (lambda: ours.Times, AttributeError, "'Timer'"),
])
def test_wrong_arguments(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()
