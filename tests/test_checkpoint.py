"""Saving and loading: every kind of value, other programs' files, damaged files, a kill in the middle."""
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import minitorch as mt
from minitorch import nn, optim
from minitorch.errors import CheckpointError


def test_state_dict_is_a_plain_safetensors_file(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    mt.save(model.state_dict(), tmp_path / "model.pth")
    arrays = safetensors.numpy.load_file(tmp_path / "model.pth")
    assert set(arrays) == set(model.state_dict())
    np.testing.assert_array_equal(arrays["0.weight"], model[0].weight.detach().numpy())
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    other.load_state_dict(mt.load(tmp_path / "model.pth"))
    for a, b in zip(model.state_dict().values(), other.state_dict().values()):
        assert mt.equal(a, b)


def test_every_kind_of_value(tmp_path):
    value = {"tensors": [mt.arange(3), mt.ones(2, 0), mt.tensor(2.5, dtype=mt.float64), mt.tensor([True, False])],
             "numbers": (1, -2.5, float("inf"), 3 + 4j, True, None, 2**80), 7: "int key", (1, 2): "tuple key",
             "ordered": OrderedDict(b=1, a=2), "set": {1, 2}, "bytes": b"\x00\xff", "dtype": mt.int8,
             "device": mt.device("cpu"), "size": mt.ones(2, 3).shape, "array": np.arange(4.0), "": "empty key"}
    mt.save(value, tmp_path / "all")
    back = mt.load(tmp_path / "all")
    assert list(back) == list(value)
    assert back["numbers"] == value["numbers"] and back["ordered"] == value["ordered"]
    assert type(back["ordered"]) is OrderedDict and back["set"] == {1, 2} and back["bytes"] == b"\x00\xff"
    assert back["dtype"] is mt.int8 and back["device"] == mt.device("cpu") and type(back["size"]) is type(value["size"])
    np.testing.assert_array_equal(back["array"], np.arange(4.0))
    for a, b in zip(back["tensors"], value["tensors"]):
        assert a.dtype is b.dtype and a.shape == b.shape and mt.equal(a, b)


def test_nan_and_types_survive(tmp_path):
    for dtype in (mt.float16, mt.float32, mt.float64, mt.int8, mt.uint8, mt.int16, mt.int32, mt.int64, mt.bool):
        x = mt.tensor([0, 1, 1], dtype=dtype)
        mt.save({"x": x, "nan": float("nan")}, tmp_path / "f")
        back = mt.load(tmp_path / "f")
        assert back["x"].dtype is dtype and mt.equal(back["x"], x) and back["nan"] != back["nan"]


def test_non_contiguous_and_shared(tmp_path):
    x = mt.arange(6.0).reshape(2, 3)
    mt.save({"t": x.t(), "x": x, "again": x, "part": x[:, 1]}, tmp_path / "f")
    back = mt.load(tmp_path / "f")
    assert back["x"] is back["again"]
    assert mt.equal(back["t"], x.t()) and mt.equal(back["part"], x[:, 1])
    back["x"].add_(1)  # what was loaded can be trained


def test_a_buffer(tmp_path):
    file = io.BytesIO()
    mt.save([mt.ones(2)], file)
    file.seek(0)
    assert mt.equal(mt.load(file)[0], mt.ones(2))


@pytest.mark.parametrize("bad", [lambda: 1, object(), nn.Linear(1, 1), {"a": [object()]}])
def test_what_is_no_plain_container_is_refused_before_writing(tmp_path, bad):
    path = tmp_path / "f"
    mt.save({"old": 1}, path)
    with pytest.raises(TypeError, match=r"save: .* checkpoint holds"):
        mt.save(bad, path)
    assert mt.load(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["f"]


def test_missing_folder_and_file(tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        mt.save({}, tmp_path / "no" / "f")
    with pytest.raises(FileNotFoundError):
        mt.load(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04rest", b"\x80\x02}q\x00.", b"\xff" * 100,
                                     b"\x10\x00\x00\x00\x00\x00\x00\x00{\"a\": 1}      "])
def test_foreign_files_are_named(tmp_path, content):
    (tmp_path / "foreign.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"foreign\.pt"):
        mt.load(tmp_path / "foreign.pt")


@given(st.data())
def test_damage_never_passes_as_another_structure(tmp_path_factory, data):
    """Cut anywhere, a file is refused, naming it; a changed byte is refused or changes numbers only."""
    path = tmp_path_factory.mktemp("damage") / "damaged"
    mt.save({"w": mt.arange(4.0), "epoch": 3}, path)
    content = path.read_bytes()
    path.write_bytes(content[:data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(CheckpointError, match="damaged"):
        mt.load(path)
    at = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1:])
    try:
        mt.load(path)
    except CheckpointError as error:
        assert "damaged" in str(error)


def test_nothing_in_a_file_is_executed(tmp_path):
    """Metadata with unknown kinds, or with kinds that look like code, is an error."""
    for tree in ({"eval": "print(1)"}, {"object": ["os.system", "true"]}, {"tensor": "missing"}, [1], {"dict": 5},
                 {"list": [{"dtype": "__class__"}]}):
        content = safetensors.numpy.save({}, {"minitorch": json.dumps(tree)})
        (tmp_path / "f").write_bytes(content)
        if tree == [1]:
            assert mt.load(tmp_path / "f") == [1]
        else:
            with pytest.raises(CheckpointError, match="description"):
                mt.load(tmp_path / "f")


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
