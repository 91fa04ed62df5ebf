"""Checkpoints of training: a kill in the middle of writing one, and going on from one to the same bits."""
import signal
import subprocess
import sys
import time

import pytest

import minitorch as mt
from minitorch import nn, optim
from minitorch.errors import CheckpointError


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    """A process that saves without pause is killed again and again: the file is always old or new, never half."""
    path = tmp_path / "checkpoint"
    code = (f"import minitorch as mt\ni = 0\nwhile True:\n i += 1\n"
            f" mt.save({{'a': mt.full((200_000,), float(i)), 'i': i}}, {str(path)!r})\n print(i, flush=True)")
    for pause in (0.0, 0.003, 0.007, 0.02):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        state = mt.load(path)
        assert (state["a"] == state["i"]).all()


def test_training_resumes_to_the_same_bits(tmp_path):
    """Model, optimizer, schedule, generator (dropout) and sampler: stopped in mid-epoch and resumed, or not stopped."""
    from minitorch.train import train

    options = {"epochs": 2, "batch_size": 200, "quiet": True}
    whole = train("digits", checkpoint=str(tmp_path / "whole"), **options)
    train("digits", checkpoint=str(tmp_path / "parts"), stop_after=3, **options)
    train("digits", checkpoint=str(tmp_path / "parts"), stop_after=9, resume=True, **options)
    parts = train("digits", checkpoint=str(tmp_path / "parts"), resume=True, **options)
    assert [(h["loss"], h["accuracy"]) for h in whole["history"]] == \
        [(h["loss"], h["accuracy"]) for h in parts["history"]]
    a, b = mt.load(tmp_path / "whole"), mt.load(tmp_path / "parts")
    for name in a["model"]:
        assert mt.equal(a["model"][name], b["model"][name]), name
    assert mt.equal(a["generator"], b["generator"])
    for key in a["optimizer"]["state"]:
        assert mt.equal(a["optimizer"]["state"][key]["exp_avg_sq"], b["optimizer"]["state"][key]["exp_avg_sq"])


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    from minitorch.train import train

    path = str(tmp_path / "c")
    train("digits", epochs=1, batch_size=500, checkpoint=path, quiet=True)
    with pytest.raises(CheckpointError, match="batch_size"):
        train("digits", epochs=1, batch_size=250, checkpoint=path, resume=True, quiet=True)
    mt.save({"x": 1}, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint of minitorch train"):
        train("digits", epochs=1, checkpoint=path, resume=True, quiet=True)


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.1, momentum=0.9), lambda p: optim.AdamW(p),
                                  lambda p: optim.RMSprop(p, centered=True), lambda p: optim.Adagrad(p)])
def test_optimizers_resume(tmp_path, make):
    mt.manual_seed(0)
    x = mt.randn(8, 3)

    def fresh():
        model = nn.Linear(3, 1)
        optimizer = make(model.parameters())
        return model, optimizer, optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def steps(model, optimizer, schedule, n):
        for _ in range(n):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            schedule.step()

    one = fresh()
    steps(*one, 3)
    mt.save([part.state_dict() for part in one], tmp_path / "c")
    two = fresh()
    for part, state in zip(two, mt.load(tmp_path / "c")):
        part.load_state_dict(state)
    steps(*one, 4)
    steps(*two, 4)
    assert mt.equal(one[0].weight, two[0].weight) and one[2].get_last_lr() == two[2].get_last_lr()
