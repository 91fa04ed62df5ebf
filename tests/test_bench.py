"""`minitorch bench`: what is timed is checked, what is noisy says so, results are rows of JSON, errors a line."""
from __future__ import annotations

import doctest
import importlib
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
from minitorch_kernels import limits, table

from minitorch import cli
from minitorch.shipped import shipped

PACKAGE = shipped("bench", "benchmarks").__name__  # what the command runs: installed, or in the checkout
cases, command, expressions, judge, measure, noise, peers, terminal, turnabout = [
    importlib.import_module(f"{PACKAGE}.{name}")
    for name in ("cases", "command", "expressions", "judge", "measure", "noise", "peers", "terminal", "turnabout")]

SECONDS = {"median", "low", "high", "count"}
ROW = {"kernel": str, "case": str, "shapes": list, "dtype": str, "threads": int, "size": (int, type(None)),
       "contestant": str, "library": str, "version": (str, type(None)), "rung": (int, type(None)),
       "idea": (str, type(None)), "seconds": (dict, type(None)), "cold": (dict, type(None)),
       "launch": (float, type(None)), "flops": (int, float), "moved": (int, float), "tolerance": float, "trusted": bool,
       "why": (str, type(None)), "judge": str, "against": (str, type(None)), "ratio": (float, type(None)),
       "quartiles": (list, type(None)), "ratios": dict}
TIMED = {"GFLOP/s": float, "GB/s": float, "share": float, "bound": str, "error": float}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Limits as of some machine, nothing to wait for, a small cache to flush."""
    found = limits.Limits({"float32": 1e11, "float64": 5e10}, {p: [1e10] * len(limits.SIZES) for p in limits.PATTERNS})
    monkeypatch.setattr(measure, "limits", lambda threads: found)
    monkeypatch.setattr(turnabout, "rest", lambda limit=0: None)
    monkeypatch.setattr(noise, "last_cache", lambda: 1 << 16)
    command.LAUNCHES.clear()


def rows_of(tmp_path, arguments):
    """The rows of a run as short as can be; their schema is checked."""
    path = tmp_path / "results.json"
    status = cli.main(["bench", *arguments.split(), "--seconds", "0", "--json", str(path)])
    found = json.loads(path.read_text())
    assert found["format"] == "minitorch-bench/1"
    machine = found["machine"]
    assert {"processor", "cores", "memory_gib", "clock_mhz", "load", "date", "command", "versions"} <= set(machine)
    assert {"python", "numpy", "numba", "minitorch"} <= set(machine["versions"])
    assert all(set(facts["GFLOP/s"]) == {"float32", "float64"} for facts in found["limits"].values())
    for row in found["results"]:
        kinds = {**ROW, **(TIMED if row["seconds"] else {})}
        assert all(isinstance(row[key], kind) for key, kind in kinds.items()), row
        assert all(set(row[key]) == SECONDS for key in ("seconds", "cold") if row[key])
        assert row["trusted"] == (row["why"] is None)
        assert str(row["threads"]) in found["limits"]
    return status, found["results"]


# A run

@pytest.mark.parametrize("arguments", [
    "matmul --shape 33x17x65 --threads 1 2", "conv2d --shape 2x3x9x4x3x1x2", "softmax --shape 3x5 1x1",
    "attention --shape 1x5x2x4", "adam --shape 7", "cross_entropy --shape 3x5", "arctan2 --shape 9",
    "recurrent --shape 2x3x4x5"])
def test_a_run(tmp_path, capsys, arguments):
    status, rows = rows_of(tmp_path, f"{arguments} --peers numpy")
    assert status == 0 and all(row["seconds"] for row in rows)
    assert all(0 < row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"] for row in rows)
    assert all(row["error"] <= row["tolerance"] and row["cold"]["median"] > 0 for row in rows)
    assert all(row["launch"] is None or row["launch"] > 0 for row in rows) and any(row["launch"] for row in rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.lstrip("? ").startswith("minitorch ") and "%" in line for line in lines) >= len(
        [row for row in rows if row["library"] == "minitorch"])


def test_versions_and_dtypes(tmp_path):
    _, rows = rows_of(tmp_path, "matmul --shape 70x70x70 --dtype float32 float64 --peers "
                                "--version numba blas reference auto")
    for dtype in ("float32", "float64"):
        names = [row["version"] for row in rows if row["dtype"] == dtype]
        assert names == ["numba", "blas", "reference"]  # what auto chose is one of them
    assert all(row["error"] < 1e-13 for row in rows if row["dtype"] == "float64")
    assert all(row["against"] is None for row in rows)


def test_rungs(tmp_path, capsys):
    """By name and by number, from the bottom up, with what each adds."""
    _, rows = rows_of(tmp_path, "matmul --shape 7x5x9 --rung rows 1 --peers")
    assert [(row["version"], row["rung"]) for row in rows[:2]] == [("python", 1), ("rows", 3)]
    assert all(row["idea"] and row["idea"] in " ".join(capsys.readouterr().out.split()) for row in rows[:1])
    assert all(row["error"] < 1e-6 and row["seconds"] for row in rows)


def test_a_sweep(tmp_path):
    _, rows = rows_of(tmp_path, "rms_norm --sweep 3 8 --peers numpy --no-cold")
    assert [row["size"] for row in rows] == [3, 3, 8, 8]
    assert [row["shapes"][0] for row in rows[::2]] == [[256, 3], [256, 8]]
    ours = rows[0]
    assert ours["against"] == "numpy" and ours["ratio"] > 0 and ours["cold"] is None


def test_same_seed_same_data():
    entry = cases.find(["matmul"])[0]
    first, second, other = (entry.make(2, 3, 4).arguments(cases.Source(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], second[0])
    assert (first[0] != other[0]).all()


@pytest.mark.parametrize("name", peers.PEERS)
def test_other_libraries(name):
    """Each library's expressions give what NumPy's do in float64, in later calls too (some record the first)."""
    if why := peers.missing(name):
        pytest.skip(f"{name}: {why}")
    for kernel, shape in [("matmul", (5, 3, 2)), ("softmax", (3, 4)), ("adam_steps", (6,)),
                          ("attention", (1, 4, 2, 3)), ("conv2d", (2, 3, 6, 2, 3, 1, 2))]:
        entry = cases.find([kernel])[0]
        case, task = entry.make(*shape), entry.task or entry.kernel
        given = case.arguments(cases.Source(0))
        run = peers.PEERS[name].start(case, task, given)
        ours = peers.PEERS["numpy"].start(case, task, judge.widened(given, np.float64))
        for _ in range(4):
            assert judge.error(judge.arrays(run()), judge.arrays(ours())) < 1e-6, kernel


def test_why_a_library_takes_no_part(monkeypatch, capsys):
    module = ModuleType("cupy")
    module.__spec__, module.is_available = ModuleSpec("cupy", None), lambda: False
    monkeypatch.setitem(sys.modules, "cupy", module)
    assert peers.PEERS["cupy"].missing() == "no GPU"
    real = peers.missing
    monkeypatch.setattr(peers, "missing", lambda name: "not installed" if name == "jax" else real(name))
    assert cli.main(["bench", "softmax", "--shape", "3x4", "--seconds", "0", "--peers", "jax", "numpy"]) == 0
    assert "jax takes no part: not installed" in capsys.readouterr().out


def test_expressions_agree_with_the_references():
    """Two independent ways to the same numbers, for every task that has both, at awkward sizes."""
    tried = set()
    for entry in cases.entries():
        shape = {"MxKxN": (3, 1, 5), "ROWSxWIDTH": (3, 7), "NxCxHxW": (3, 4, 5, 7),
                 "BATCHxTIMExHEADSxWIDTH": (2, 5, 1, 3), "ROWSxCLASSES": (4, 3)}.get(entry.form, (2, 3, 7, 4, 3, 1, 2))
        task = entry.task or entry.kernel
        if task not in expressions.ARRAYS:
            continue
        if entry.form == "AxBx...":
            shape = (3, 7, 2, 5)
        case = entry.make(*shape) if entry.form else entry.make()
        given = case.arguments(cases.Source(3, "float64"))
        by_reference = judge._reference(entry, case, judge.widened(given, np.float64))
        try:
            by_expression = judge._expression(entry, case, judge.widened(given, np.float64))
        except NotImplementedError:
            continue
        tried.add(task)
        assert judge.error(by_expression, by_reference) < 1e-12, entry.kernel
    assert {"matmul", "conv2d", "conv2d_dx", "conv2d_dw", "softmax", "attention", "Adam", "AdamW", "SGD"} <= tried


# Trust

@pytest.fixture
def version():
    """Enters versions of kernels into the table, for a test."""
    entered = []

    def enter(kernel, name, function, refuses=None):
        table.get(kernel).version(name, "cpu", function, refuses, backend="numpy")
        entered.append(table.get(kernel).versions)

    yield enter
    for versions in entered:
        versions.pop()
    table._rebind()


def one(rows, contestant):
    return next(row for row in rows if row["contestant"] == contestant)


def test_a_wrong_version_is_not_timed(tmp_path, capsys, version):
    calls = []

    def wrong(x, dim):
        calls.append(1)
        y = table.get("softmax")(np, x, dim)
        y[-1, -1] *= np.float32(1.01)
        return y

    version("softmax", "wrong", wrong)
    status, rows = rows_of(tmp_path, "softmax --shape 4x6 --version auto wrong --peers")
    assert status == 1 and one(rows, "minitorch wrong")["why"].startswith("FAILED: differs by")
    assert one(rows, "minitorch wrong")["seconds"] is None and not one(rows, "minitorch wrong")["trusted"]
    assert one(rows, "minitorch numba")["seconds"]
    assert len(calls) <= 3, "it was called to be checked, not timed"
    assert "FAILED: differs" in capsys.readouterr().out


def test_a_version_that_goes_wrong_later(tmp_path, version):
    """What the last timed call gave is checked too."""
    calls = []

    def tires(x, dim):
        calls.append(1)
        return table.get("softmax")(np, x, dim) * np.float32(1 if len(calls) < 8 else 1.1)

    version("softmax", "tires", tires)
    status, rows = rows_of(tmp_path, "softmax --shape 4x6 --version tires --peers")
    assert status == 1 and rows[0]["why"].startswith("FAILED: the timed result differs") and rows[0]["seconds"] is None


def test_a_version_that_raises_or_refuses(tmp_path, version):
    def breaks(x, dim):
        raise ZeroDivisionError("oh\nno")

    version("softmax", "breaks", breaks)
    version("softmax", "shy", breaks, lambda x, dim: "not today")
    status, rows = rows_of(tmp_path, "softmax --shape 4x6 --version breaks shy auto --peers")
    assert status == 1 and one(rows, "minitorch breaks")["why"] == "FAILED: ZeroDivisionError: oh no"
    assert one(rows, "minitorch shy")["why"] == "refuses: not today"
    assert one(rows, "minitorch numba")["seconds"]


def test_a_contest_that_cannot_be_held(tmp_path, capsys, monkeypatch):
    """The others are still measured."""
    real = judge.expected
    monkeypatch.setattr(judge, "expected", lambda entry, case, given: real(entry, case, given) if given[0].size > 4
                        else 1 / 0)
    status, rows = rows_of(tmp_path, "softmax --shape 2x2 3x3 --peers")
    assert status == 1 and {row["case"] for row in rows} == {"3x3"}
    assert "softmax 2x2, float32: FAILED: ZeroDivisionError" in capsys.readouterr().out


def test_a_call_that_would_take_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "PATIENCE", 1e-9)
    _, rows = rows_of(tmp_path, "matmul --shape 70x70x70 --rung rows --version auto --peers")
    assert one(rows, "minitorch rows")["why"].startswith("skipped: a call would take about")
    assert one(rows, "minitorch rows")["version"] == "rows"
    assert one(rows, "minitorch numba")["seconds"]


@pytest.mark.parametrize("times,others,threads,why", [
    ([1.0, 1.0, 1.0, 1.05, 1.0], 0.0, 2, None),
    ([1.0, 1.0, 9.0, 1.0, 1.0], 0.0, 2, None),  # one bad block moves no quartile
    ([1.0, 1.3, 1.0, 1.3, 1.1], 0.0, 2, "spread 27 %: more than 20 %"),
    ([1.0] * 5, 0.9, 1, None),  # on the other core
    ([1.0] * 5, 0.9, 2, "other processes kept 0.9 of 2 cores busy"),
    ([1.0] * 5, None, 2, None)])
def test_doubts(times, others, threads, why):
    assert noise.doubts(times, others, threads, 2) == why


def test_a_noisy_time_is_marked(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(noise, "doubts", lambda *a: "spread 34 %: more than 20 %")
    _, rows = rows_of(tmp_path, "softmax --shape 3x4 --peers")
    assert not rows[0]["trusted"] and rows[0]["why"] == "spread 34 %: more than 20 %" and rows[0]["seconds"]
    out = capsys.readouterr().out
    assert "\n? minitorch numba" in out and "? spread more than 20 %: minitorch numba" in out


def test_turns_end_when_the_blocks_agree():
    steady = turnabout.take_turns({"a": lambda: 1.0}, seconds=60, enough=noise.enough)
    assert steady == {"a": [1.0] * turnabout.TURNS}
    restless = iter(range(1, 10**6))
    figures = turnabout.take_turns({"a": lambda: float(next(restless)), "b": lambda: 2.0}, seconds=0.01, slow=["b"],
                                   enough=noise.enough)
    assert len(figures["a"]) >= turnabout.TURNS and len(figures["b"]) == turnabout.FEW


def test_turns():
    order = []
    figures = turnabout.take_turns({"a": lambda: order.append("a") or 1.0, "b": lambda: order.append("b") or 2.0},
                                   turns=3)
    assert figures == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert "".join(order) == "abbaab"
    assert turnabout.ratio(*figures.values()) == {"ratio": 0.5, "quartiles": [0.5, 0.5]}


@pytest.mark.parametrize("found,wanted,expected", [
    ([np.array([1.0, 2.0])], [np.array([1.0, 4.0])], 0.5), ([np.zeros(2)], [np.zeros(2)], 0.0),
    ([np.zeros(2)], [np.zeros(3)], np.inf), ([], [np.zeros(2)], np.inf), ([np.zeros(0)], [np.zeros(0)], 0.0),
    ([np.array([np.nan, 1.0])], [np.array([np.nan, 1.0])], 0.0), ([np.array([np.nan])], [np.array([1.0])], np.inf),
    ([np.array([np.inf])], [np.array([np.inf])], 0.0), ([np.array([True])], [np.array([False])], 1.0)])
def test_error(found, wanted, expected):
    assert judge.error(found, wanted) == expected


def test_the_judge_is_more_exact():
    entry = cases.find(["matmul"])[0]
    case = entry.make(4, 5, 6)
    for dtype, name in (("float32", "float64"), ("float64", np.dtype(np.longdouble).name)):
        wanted, by = judge.expected(entry, case, case.arguments(cases.Source(0, dtype)))
        assert by == f"NumPy in {name}" and wanted[0].dtype == name


def test_flush_streams_through_all_of_it():
    flush = noise.Flush(2, size=1 << 12)
    flush()
    flush()
    assert sum(part.nbytes for part in flush.parts) == 1 << 12 and all((part == 2).all() for part in flush.parts)


def test_the_roofline_binds(tmp_path):
    """128 flops a byte and more are bound by arithmetic here, at 10 GB/s and 100 GFLOP/s."""
    _, rows = rows_of(tmp_path, "matmul --shape 96x96x96 1x96x96 --peers")
    large, small = rows
    assert large["flops"] == 2 * 96**3 and large["moved"] == 3 * 4 * 96**2
    assert (large["bound"], small["bound"]) == ("arithmetic", "memory")
    assert large["share"] == pytest.approx(large["flops"] / 1e11 / large["seconds"]["median"], rel=0.02, abs=1e-4)


def test_threads_and_choices_are_put_back(tmp_path):
    import minitorch

    before = minitorch.get_num_threads(), dict(table._choice)
    rows_of(tmp_path, "softmax --shape 3x4 --threads 1 --version reference --peers")
    assert (minitorch.get_num_threads(), table._choice) == before


# The command

@pytest.mark.parametrize("arguments,message", [
    ("matmull", "no kernel or family is named 'matmull'; did you mean 'matmul'?"),
    ("fft_c2c", "no case makes these"),
    ("matmul --shape 2x3", "matmul takes a shape MxKxN, not 2x3"),
    ("conv2d --shape 1x1x2x1x3", "a window of 3 does not fit"),
    ("softmax --version fast", "no version is named 'fast': softmax has numba, reference"),
    ("softmax --rung 1", "no rung is named '1'"),
    ("compare no-such.json no-such.json", "no-such.json"),
    ("softmax --json no/such/folder.json", "there is no folder for")])
def test_bad_arguments(capsys, arguments, message):
    assert cli.main(["bench", *arguments.split()]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("minitorch bench: ")


@pytest.mark.parametrize("arguments,message", [
    ("matmul --shape axb", "whole numbers"), ("matmul --dtype int8", "'int8'"), ("matmul --threads 0", "from 1 on"),
    ("matmul --peers mxnet", "'mxnet'"), ("matmul --seconds -1", "seconds"), ("--nonsense", "--nonsense"),
    ("compare one.json", "B.json")])
def test_arguments_that_cannot_be_read(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", *arguments.split()])
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and message in err and err.count("\n") == 1


def test_list_and_help(capsys):
    assert cli.main(["bench", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("matmul", "MxKxN", "winograd", "adam_steps"))
    with pytest.raises(SystemExit):
        cli.main(["bench", "--help"])
    assert "minitorch bench compare" in capsys.readouterr().out


def test_a_page_and_a_comparison(tmp_path, capsys):
    """What the command hands on to report.py and compare.py."""
    page = tmp_path / "page.html"
    rows_of(tmp_path, f"softmax --shape 2x2 --peers --html {page}")
    assert "<html" in page.read_text() and "softmax" in page.read_text()
    results = str(tmp_path / "results.json")
    assert cli.main(["bench", "compare", results, results]) == 0
    assert "softmax" in capsys.readouterr().out


def test_interrupted(tmp_path, capsys, monkeypatch):
    """What has been measured is kept."""
    done, contest = [], measure.contest

    def interrupted(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return contest(*arguments)

    monkeypatch.setattr(measure, "contest", interrupted)
    status, rows = rows_of(tmp_path, "softmax --shape 2x2 3x3 --peers")
    assert status == 130 and len(rows) == 1
    assert capsys.readouterr().err.strip() == "minitorch bench: interrupted after 1 results"


def test_more_threads_than_cores(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(turnabout, "cores", lambda: 1)
    rows_of(tmp_path, "softmax --shape 2x2 --threads 2 --peers")
    assert "--threads 2 is more than the 1 cores here" in capsys.readouterr().err


def test_every_entry_makes_its_cases():
    """Each kernel exists, each shape of the fixed table and the smallest one make a case."""
    assert {entry.kernel for entry in cases.entries()} <= set(table.names())
    for entry in cases.entries():
        assert all(entry.make(*shape).label is not None for shape in (*entry.fixed, entry.least, entry.shapes()[0]))
        if entry.least:
            cases.fits(entry, entry.least)
        if entry.sizes and not entry.variant:
            cases.fits(entry, entry.at(entry.sizes[0]))


def test_a_table_without_figures():
    row = {**dict.fromkeys([*ROW, *TIMED, "verdict"]), "kernel": "softmax", "case": "2x2", "dtype": "float32",
           "threads": 1, "contestant": "minitorch x", "why": "refuses: no", "trusted": False}
    assert terminal.block([row]).splitlines()[-1].split(maxsplit=2)[-1].strip() == "refuses: no"


@pytest.mark.parametrize("module", [cases, command, judge, noise, terminal, turnabout], ids=lambda m: m.__name__)
def test_examples(module):
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert not result.failed


def test_a_block_is_long_even_where_the_first_calls_are_slow(monkeypatch):
    """Compilers that record a task take long in its first two calls: these must not set the number of calls."""
    now, calls = [0.0], [0]
    monkeypatch.setattr(turnabout, "rest", lambda: None)
    monkeypatch.setattr(turnabout.time, "perf_counter", lambda: now[0])

    def function():
        calls[0] += 1
        now[0] += 1.0 if calls[0] <= 2 else 1e-4

    measure = turnabout.block(function, 0.1)
    before = now[0]
    assert abs(measure() - 1e-4) < 1e-9 and now[0] - before >= 0.08
