"""benchmarks/gpu.py: each of its parts at tiny sizes, what goes wrong in one, and what it says without a GPU."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from minitorch_kernels import table

import minitorch as mt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# Not all, since kernels are compiled for the CPU: one of each way in which arguments, rivals and bytes come about.
CHOSEN = ("matmul", "linear", "conv2d", "conv2d_dw", "softmax", "layer_norm_backward", "dropout", "adam_steps",
          "attention_backward", "recurrent")
SHAPES = {"products": (6, 4, 8), "convolutions": (2, 3, 6, 4, 3, 1, 1), "sequences": (1, 6, 2, 4)}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def quick(device, monkeypatch):
    from on_gpu import contest

    monkeypatch.setattr(contest, "BLOCK", 1e-4)
    monkeypatch.setattr(contest, "TURNS", 2)


def small(task, section):
    shapes = {"dropout": (64,), "batch": (2, 3, 4, 4), "group": (2, 4, 4, 4), "max": (2, 3, 4, 4)}
    shape = SHAPES.get(section) or next((s for name, s in shapes.items() if task.kernel.startswith(name)), (8, 16))
    return task._replace(shape=shape if task.shape else ())


@pytest.mark.parametrize("section", ["products", "convolutions", "memory", "sequences"])
def test_kernels(quick, section, monkeypatch):
    """Tasks are right and timed, and their rows can be printed and written."""
    import gpu
    from on_gpu import kernels

    monkeypatch.setattr(kernels, "bandwidth", lambda: 1e9)
    chosen = list({(t.kernel, t.kind): small(t, section) for t in kernels.SECTIONS[section]() if t.shape}.values())
    chosen = [t for t in chosen if t.kernel in CHOSEN and (t.kind != "bfloat16" or t.kernel == "linear")]
    rows = list(kernels.rows(section, chosen, 60))
    assert len(rows) == len(chosen) + (section == "memory")
    for row in rows:
        assert row.get("verdict") in (None, "met", "missed"), gpu.line(row)
        assert row["section"] == section and row["title"] in gpu.line(row) and json.dumps(row)
        assert row.get("bytes/s", row.get("flop/s")) > 0


def test_a_wrong_kernel_has_no_figure(quick, monkeypatch):
    import gpu
    from on_gpu import kernels

    for version in table.get("softmax").versions:
        monkeypatch.setattr(version, "run", lambda x, dim: x)
    wrong, failing = kernels.rows("products", [kernels.Task("softmax", (4, 8)), kernels.Task("none", (1,))], 1)
    assert wrong["verdict"] == "WRONG" and "seconds" not in wrong and wrong["error"] > 0.01
    assert failing["verdict"] == "FAILED" and "IndexError" in failing["notes"][0]
    assert gpu.summary([wrong, failing]) == "2 rows: 1 WRONG, 1 FAILED"


def test_training_steps(quick):
    import gpu
    from on_gpu import steps

    rows = list(steps.rows([steps.Task("tiny", batch=4)], 1))
    assert rows and all(row["title"].startswith("MLP 64-32-10") for row in rows), rows
    assert rows[0]["seconds"]["minitorch"] > 0 and "minitorch" in gpu.line(rows[0])


def test_steps_that_differ_are_not_timed(quick, monkeypatch):
    from on_gpu import steps

    losses = iter([[1.0, 0.9], [1.0, 0.8]])
    monkeypatch.setattr(steps, "losses", lambda program: next(losses))
    row, = steps.rows([steps.Task("tiny", batch=4)], 1)
    assert row["verdict"] == "WRONG" and "seconds" not in row


def test_resnet18():
    """As many parameters as torchvision's."""
    from on_gpu import steps

    with mt.device("meta"):  # shapes alone
        program = steps.resnet18(mt)
    assert sum(p.numel() for p in program.model.parameters()) == 11_689_512
    assert program.inputs.shape == (64, 3, 224, 224)


def test_a_section_that_dies_leaves_its_rows(tmp_path, monkeypatch):
    """Each section is a process of its own: the next one runs, and what was measured before stays."""
    import gpu

    script = tmp_path / "child.py"
    script.write_text("import sys\nname, file = sys.argv[2:4]\nopen(file, 'a').write('{\"title\": \"a row\"}\\n')\n"
                      "sys.exit('lost the GPU' if name == 'products' else 0)\n")
    monkeypatch.setattr(gpu, "__file__", str(script))
    found = list(gpu.everything(["products", "memory"], 60))
    assert [(name, row["title"], row.get("verdict")) for name, row in found] == [
        ("products", "a row", None), ("products", "products", "FAILED"), ("memory", "a row", None)]
    assert found[1][1]["notes"] == ["lost the GPU"]


def test_tests_are_run_each_file_by_itself(tmp_path, monkeypatch):
    import gpu

    marked = "import os, pytest\npytestmark = pytest.mark.gpu\ndef test_it():\n    "
    for name, body in (("good", "assert 1"), ("bad", "assert 0"), ("dies", "os._exit(9)"), ("cubins", "assert 0")):
        (tmp_path / f"test_{name}.py").write_text(marked + body)
    good, bad, dies = gpu.tests([tmp_path / f"test_{name}.py" for name in ("good", "bad", "cubins", "dies")], 30)
    assert good["verdict"] == "passed" and "1 passed" in good["title"]
    assert bad["verdict"] == "FAILED" and "test_bad.py::test_it" in bad["notes"][0]
    assert dies["verdict"] == "FAILED"


def test_without_a_gpu(monkeypatch, capsys):
    import gpu

    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 1
    assert capsys.readouterr().out == "gpu.py: CuPy is not installed: pip install cupy-cuda13x\n"


def test_the_machine_is_named(device):
    import gpu

    facts = gpu.machine()
    assert facts["gpu"] and facts["versions"]["cupy"] and np.prod(facts["multiprocessors"]) > 0
