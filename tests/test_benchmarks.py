"""The benchmarks' programs: that each model trains, that what is timed is checked. `minitorch bench`: test_bench.py."""
import sys
from pathlib import Path

import numpy as np
import pytest

import minitorch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def small(program):
    """The program with a batch of two."""
    return program._replace(inputs=program.inputs[:2], target=program.target[:2])


@pytest.mark.parametrize("name", ["cnn52", "cnn44", "mlp", "gru", "gpt", "resnet20", "tiny"])
def test_a_step_of_each_model(name):
    import models

    program = small(models.build(name, minitorch))
    step, before = program.step(), [p.detach().numpy().copy() for p in program.model.parameters()]
    assert np.isfinite(step(program.inputs, program.target).item())
    after = [p.detach().numpy() for p in program.model.parameters()]
    assert all(np.isfinite(p).all() for p in after)
    assert any((a != b).any() for a, b in zip(before, after))


def test_each_model_is_tested():
    import models

    marks = test_a_step_of_each_model.pytestmark
    assert sorted(models.MODELS) == sorted(marks[0].args[1])


def test_check_finds_what_differs(torch, monkeypatch):
    import models
    import training

    assert training.check("tiny") is None
    entry = models.MODELS["tiny"]

    def other_rate(framework):
        program = entry.build(framework)
        if framework is minitorch:
            program.optimizer.param_groups[0]["lr"] *= 1.01
        return program

    monkeypatch.setitem(models.MODELS, "tiny", entry._replace(build=other_rate))
    assert "FAILED: minitorch: loss in 5 steps" in training.check("tiny")


def test_check_names_what_is_missing(monkeypatch):
    import models
    import training

    entry = models.MODELS["tiny"]
    monkeypatch.setitem(models.MODELS, "tiny", entry._replace(build=lambda framework: framework.nn.NoSuchLayer()))
    assert training.check("tiny").startswith("not there: ")


def test_the_profile_puts_the_table_back(capsys):
    import training

    from minitorch.device import cpu_kernels

    before = minitorch.get_num_threads()
    training.profile("tiny", before, 0)
    shown = capsys.readouterr().out
    assert "outside of ops" in shown and "Sequential" in shown and "sgd_steps" in shown
    assert "_watched" not in getattr(cpu_kernels.add, "__qualname__", "")
