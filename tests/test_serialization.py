"""Saving and loading: PyTorch's files both ways, recorded ones where it is missing, safetensors, and hostile files."""
import argparse
import collections
import copy
import gzip
import io
import json
import os
import pathlib
import pickle
import random
import struct
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import recorded_files
from hypothesis import given
from hypothesis import strategies as st

import minitorch as mt
from minitorch import nn, optim, serialization
from minitorch.errors import CheckpointError
from minitorch.serialization import archive, legacy
from minitorch.serialization.safetensors import numpy as st_numpy
from minitorch.serialization.safetensors import safe_open
from minitorch.serialization.safetensors import torch as st_torch


def value(T):
    """What the recorded files hold, made by PyTorch or by minitorch."""
    x = T.arange(6.).reshape(2, 3)
    tagged = T.tensor([7])
    tagged.tag = "t"
    state = collections.OrderedDict(weight=T.tensor([[1., 2.]]), bias=T.tensor([3.]))
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return {
        "x": x, "row": x[1], "t": x.t(), "wide": T.tensor(4.).expand(2, 2), "scalar": T.tensor(2.5, dtype=T.float64),
        "empty": T.zeros(0, 3), "w": T.nn.Parameter(T.tensor([1.5, -2.])), "grad": T.tensor([1.], requires_grad=True),
        "tagged": tagged, "buffer": T.nn.Buffer(T.tensor([9])), "half": T.tensor([1.5], dtype=T.float16),
        "bf": T.tensor([1.5, 3.0], dtype=T.bfloat16), "bool": T.tensor([True, False]), "c": T.tensor([1 + 2j]),
        "i8": T.tensor([-1], dtype=T.int8), "u16": T.tensor([65535], dtype=T.uint16), "size": x.shape,
        "dtype": T.int64, "device": T.device("cuda:1"), "sd": state, "np": np.arange(3), "f32": np.float32(2.5),
        "big": np.array([1, 2], ">i4"), "set": {1, 2}, "complex": 1 + 2j, "bytes": b"\x00\xff",
        "ns": argparse.Namespace(lr=0.1), "dd": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter([3, 3]), "deque": collections.deque([1, 2], 3),
        "plain": [None, True, -5, 2**70, 2.5, "ü", (1, (2,))], ("k", 1): "tuple key"}


def check(back, expected):
    """That a loaded value is the expected one: types, values, layout, sharing."""
    assert list(back) == list(expected)
    for key, want in expected.items():
        got = back[key]
        if isinstance(want, mt.Tensor):
            assert type(got) is type(want) and got.dtype is want.dtype and got.shape == want.shape, key
            assert got.stride() == want.stride() and got.storage_offset() == want.storage_offset(), key
            assert got.requires_grad == want.requires_grad and got.is_leaf and mt.equal(got, want), key
        elif isinstance(want, np.ndarray):
            assert got.dtype == want.dtype.newbyteorder("=") and np.array_equal(got, want), key
        elif key == "sd":
            assert type(got) is type(want) and list(got) == list(want) and got._metadata == want._metadata
        else:
            assert type(got) is type(want) and got == want, key
    assert back["tagged"].tag == "t" and back["buffer"].persistent and back["dd"]["b"] == [] and \
        back["deque"].maxlen == 3
    back["x"].add_(1)
    assert back["row"].tolist() == [4, 5, 6] and back["t"].tolist() == [[1, 4], [2, 5], [3, 6]]


def zipped(obj=None, **keywords):
    file = io.BytesIO()
    mt.save(value(mt) if obj is None else obj, file, **keywords)
    return file.getvalue()


# Round trips

@pytest.mark.parametrize("keywords", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4},
                                      {"pickle_protocol": 3, "_use_new_zipfile_serialization": False},
                                      {"_disable_byteorder_record": True}], ids=str)
@pytest.mark.parametrize("weights_only", [None, True, False])
def test_round_trip(keywords, weights_only):
    check(mt.load(io.BytesIO(zipped(**keywords)), weights_only=weights_only), value(mt))


def test_recorded_files_of_pytorch():
    check(mt.load(io.BytesIO(recorded_files.content(recorded_files.ZIP))), value(mt))
    older = value(mt)
    del older["u16"]
    check(mt.load(io.BytesIO(recorded_files.content(recorded_files.OLDER))), older)


def test_the_same_bytes_as_pytorch_recorded():
    """The pickle and all other records are PyTorch's, byte by byte, but for the identity of the file."""
    theirs = zipfile.ZipFile(io.BytesIO(recorded_files.content(recorded_files.ZIP)))
    ours = zipfile.ZipFile(io.BytesIO(zipped()))
    assert ours.namelist() == theirs.namelist() and ours.testzip() is None
    for name in ours.namelist():
        if not name.endswith("serialization_id"):
            assert ours.read(name) == theirs.read(name), name


@pytest.mark.parametrize("zip_format", [True, False])
def test_pytorch_reads_what_is_saved(torch, zip_format, tmp_path):
    """With weights_only=True, and the same from a path: values, types, layout, sharing."""
    ours = value(mt)
    for key in ("np", "f32", "big", "ns", "dd", "deque", *([] if zip_format else ["u16"])):
        del ours[key]  # which PyTorch refuses to load
    mt.save(ours, tmp_path / "m.pt", _use_new_zipfile_serialization=zip_format)
    back = torch.load(tmp_path / "m.pt", weights_only=True)
    for key, want in ours.items():
        if isinstance(want, mt.Tensor):
            got = back[key]
            assert str(got.dtype) == str(want.dtype) and tuple(got.stride()) == want.stride()
            assert got.storage_offset() == want.storage_offset() and got.requires_grad == want.requires_grad
            assert got.tolist() == want.tolist()
    assert isinstance(back["w"], torch.nn.Parameter) and back["device"] == torch.device("cuda:1")
    back["x"].add_(1)
    assert back["row"].tolist() == [4, 5, 6]


@pytest.mark.parametrize("zip_format", [True, False])
def test_what_pytorch_writes_is_read(torch, zip_format):
    theirs = value(torch)
    theirs["conj"], theirs["neg"] = torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j]).conj().imag
    if not zip_format:
        del theirs["u16"]
    file = io.BytesIO()
    torch.save(theirs, file, _use_new_zipfile_serialization=zip_format)
    file.seek(0)
    back = mt.load(file)
    assert back.pop("conj").tolist() == [1 - 2j] and back.pop("neg").tolist() == [-2.0]
    expected = value(mt)
    check(back, {key: expected[key] for key in theirs if key in expected})


def test_models_and_optimizers_cross_over(torch, tmp_path):
    """Trained in one, trained on in the other, and back: the same weights."""
    def build(T):
        model = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.BatchNorm1d(4), T.nn.Linear(4, 1))
        return model, (o := T.optim.Adam(model.parameters(), lr=0.1)), T.optim.lr_scheduler.MultiStepLR(o, [2, 3])

    def train(T, model, optimizer, schedule):
        x = T.arange(15.).reshape(5, 3).sin()
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        schedule.step()

    path, a, b = tmp_path / "c.pt", build(torch), build(mt)
    for source, target, S, T in ((a, b, torch, mt), (b, a, mt, torch)):
        train(S, *source)
        S.save([part.state_dict() for part in source], path)
        for part, state in zip(target, T.load(path)):
            part.load_state_dict(state)
        train(S, *source)
        train(T, *target)
        for p, q in zip(source[0].parameters(), target[0].parameters()):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_optimizers_schedulers_scalers_and_random_states(tmp_path):
    model = nn.Linear(3, 2)
    for make in (lambda p: optim.SGD(p, 0.1, momentum=0.9), optim.AdamW, optim.Adagrad, optim.RMSprop, optim.LBFGS):
        optimizer = make(model.parameters())

        def loss(optimizer=optimizer):
            optimizer.zero_grad()
            result = model(mt.ones(4, 3)).square().mean()
            result.backward()
            return result

        optimizer.step(loss)
        mt.save(optimizer.state_dict(), tmp_path / "o")
        other = make(model.parameters())
        other.load_state_dict(mt.load(tmp_path / "o"))
        assert pickle.dumps(_plain(other.state_dict())) == pickle.dumps(_plain(optimizer.state_dict()))
    optimizer = optim.SGD(model.parameters(), 0.1)
    L = optim.lr_scheduler
    for schedule in (L.StepLR(optimizer, 2), L.MultiStepLR(optimizer, [2, 2, 3]), L.OneCycleLR(optimizer, 1.0, 10),
                     L.CosineAnnealingWarmRestarts(optimizer, 5), L.ReduceLROnPlateau(optimizer),
                     L.LambdaLR(optimizer, lambda epoch: 0.5 ** epoch), L.CyclicLR(optimizer, 0.1, 1.0),
                     L.SequentialLR(optimizer, [L.ConstantLR(optimizer), L.ExponentialLR(optimizer, 0.9)], [3])):
        state = schedule.state_dict()
        mt.save(state, tmp_path / "s")
        assert _plain(mt.load(tmp_path / "s")) == _plain(state), type(schedule).__name__
        schedule.load_state_dict(mt.load(tmp_path / "s"))
    scaler = mt.amp.GradScaler("cpu", init_scale=8.0)
    states = {"scaler": scaler.state_dict(), "torch": mt.get_rng_state(), "python": random.getstate(),
              "numpy": np.random.get_state(), "generator": mt.Generator().manual_seed(3)}
    back = mt.load(io.BytesIO(zipped(states)))
    assert back["scaler"] == states["scaler"] and mt.equal(back["torch"], states["torch"])
    random.setstate(back["python"])
    np.random.set_state(back["numpy"])
    assert mt.equal(mt.rand(3, generator=back["generator"]), mt.rand(3, generator=mt.Generator().manual_seed(3)))


def _plain(state):
    if isinstance(state, mt.Tensor):
        return state.tolist()
    if isinstance(state, dict):
        return {key: _plain(part) for key, part in state.items()}
    return [_plain(part) for part in state] if isinstance(state, (list, tuple)) else state


def test_other_plain_values():
    obj = {"path": pathlib.Path("a/b"), "slice": slice(1, None, 2), "range": range(3), "frozen": frozenset([1]),
           "array": bytearray(b"ab"), "empty": b"", "named": mt.ones(2, 2).max(0), "ns": SimpleNamespace(a=1),
           "strings": np.array(["a", "bc"]), "none": collections.defaultdict(None), "nan": float("nan"), "self": []}
    obj["self"].append(obj["self"])
    for keywords in ({}, {"pickle_protocol": 4}):
        back = mt.load(io.BytesIO(zipped(obj, **keywords)))
        assert back["named"].indices.tolist() == [0, 0] and type(back["named"]).__name__ == "max"
        assert back["nan"] != back["nan"] and back["self"][0] is back["self"]
        assert (back["strings"] == obj["strings"]).all()
        for key in ("path", "slice", "range", "frozen", "array", "empty", "ns", "none"):
            assert back[key] == obj[key] and type(back[key]) is type(obj[key]), key


def test_memory_that_is_larger_than_its_tensor():
    """Storages are saved as PyTorch's: whole; a buffer of the pool without the end that nobody asked for."""
    x = mt.zeros(1000)[10:12]
    back = mt.load(io.BytesIO(zipped(x)))
    assert back.storage_offset() == 10 and back.tolist() == [0, 0]
    large = mt.ones(300, 301) + 1  # comes from the pool, which rounds up
    names = {i.filename: i.file_size for i in zipfile.ZipFile(io.BytesIO(zipped(large))).infolist()}
    assert names["archive/data/0"] == 300 * 301 * 4
    flipped = mt.from_numpy(np.arange(4.0)[::2].copy())
    flipped._array = flipped._array[::-1]
    assert mt.load(io.BytesIO(zipped(flipped))).tolist() == [2, 0]


def test_same_memory_as_different_types():
    x = mt.ones(2, dtype=mt.complex64)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        zipped([x, mt.view_as_real(x)])


def test_storages():
    x = mt.arange(4.0)
    back = mt.load(io.BytesIO(zipped([x.storage(), x[1:]])))
    assert back[0].tolist() == [0, 1, 2, 3]
    back[1].zero_()
    assert back[0].tolist() == [0, 0, 0, 0]


def test_hooks_and_graph_are_left_out():
    w = mt.ones(2, requires_grad=True)
    w.register_hook(lambda g: g)
    with pytest.warns(UserWarning, match="hooks"):
        back = mt.load(io.BytesIO(zipped([w, w * 2])))
    assert back[0]._hooks is None and back[1].is_leaf and back[1].requires_grad


# Files

def test_where_to(tmp_path):
    mt.save({"a": 1}, str(tmp_path / "m.v1.pt"))
    assert zipfile.ZipFile(tmp_path / "m.v1.pt").namelist()[0] == "m.v1/data.pkl"
    (tmp_path / "link").symlink_to(tmp_path / "m.v1.pt")
    mt.save({"a": 2}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and mt.load(tmp_path / "m.v1.pt") == {"a": 2}
    with gzip.open(tmp_path / "z", "wb") as file:
        mt.save({"a": mt.ones(2)}, file)
    with gzip.open(tmp_path / "z", "rb") as file:
        assert mt.load(file)["a"].tolist() == [1, 1]
    with open(tmp_path / "two", "wb") as file:  # the older format can be written one after the other
        for number in (1, 2):
            mt.save(mt.full((2,), number), file, _use_new_zipfile_serialization=False)
    with open(tmp_path / "two", "rb") as file:
        assert [mt.load(file).tolist() for _ in range(2)] == [[1, 1], [2, 2]]
    assert sorted(os.listdir(tmp_path)) == ["link", "m.v1.pt", "two", "z"]


class OnlyReads:
    """A stream that cannot be wound back."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


def test_a_stream():
    assert mt.load(OnlyReads(zipped({"a": 1}))) == {"a": 1}


def test_bad_arguments(tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        mt.save({}, tmp_path / "no" / "f")
    with pytest.raises(FileNotFoundError):
        mt.load(tmp_path / "none")
    with pytest.raises(AttributeError, match="'write'"):
        mt.save(1, 5)
    with pytest.raises(AttributeError, match="'read'"):
        mt.load(5)
    with pytest.raises(TypeError, match="'rb'"):
        mt.load(io.StringIO())
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        mt.load(io.BytesIO(zipped(1)), foo=1)
    with pytest.raises(TypeError, match="map_location"):
        mt.load(io.BytesIO(zipped(1)), map_location=3)
    with pytest.raises(EOFError, match="empty"):
        mt.load(io.BytesIO())
    assert mt.load(io.BytesIO(zipped(1)), pickle_module=pickle, encoding="latin1") == 1


class Config:
    def __init__(self, size):
        self.size = size

    def __eq__(self, other):
        return self.size == other.size


Point = collections.namedtuple("Point", "x y")


def test_classes_of_the_program():
    """Written by reference; refused until they are declared safe."""
    obj = {"config": Config(mt.ones(2).shape), "point": Point(1, mt.ones(1))}
    content = zipped(obj)
    for weights_only in (None, True, False):
        with pytest.raises(pickle.UnpicklingError, match=r"Config.*state_dict.*add_safe_globals\(\[Config\]\)"):
            mt.load(io.BytesIO(content), weights_only=weights_only)
    wanted = serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    assert wanted == [f"{__name__}.Config", f"{__name__}.Point"]
    assert serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(zipped(obj, pickle_protocol=4))) == wanted
    with serialization.safe_globals([Config, Point]):
        back = mt.load(io.BytesIO(content))
        assert serialization.get_safe_globals() == [Config, Point]
        assert serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)) == []
    assert back["config"] == obj["config"] and back["point"].y.tolist() == [1] and type(back["point"]) is Point
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([(SimpleNamespace, f"{__name__}.Config"), Point])
    with pytest.raises(TypeError):  # what declared code raises is not called damage
        mt.load(io.BytesIO(zipped({"p": Point(1, 2)}).replace(b"K\x01K\x02\x86", b"K\x01\x85\x30\x29"))) \
            if False else Point(1)
    serialization.clear_safe_globals()


class Scaled(mt.Tensor):
    pass


def test_subclass_of_tensor():
    x = mt.ones(2).as_subclass(Scaled) if hasattr(mt.Tensor, "as_subclass") else Scaled([1.0, 1.0])
    content = zipped(x)
    with pytest.raises(CheckpointError, match="Scaled"):
        mt.load(io.BytesIO(content))
    with serialization.safe_globals([Scaled]):
        assert type(mt.load(io.BytesIO(content))) is Scaled


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "f"
    mt.save({"old": 1}, path)
    with pytest.raises(TypeError, match=r"Linear is a whole module.*state_dict\(\)"):
        mt.save({"model": nn.Linear(1, 1)}, path)
    with pytest.raises(TypeError, match="minitorch's own"):
        mt.save(nn.functional.relu, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        mt.save(lambda: 1, path)
    with pytest.raises(TypeError, match="pickle"):
        mt.save(open(path, "rb"), path)  # noqa: SIM115
    assert mt.load(path) == {"old": 1} and os.listdir(tmp_path) == ["f"]


# Places

def test_map_location():
    content = zipped({"x": mt.ones(2), "y": mt.ones(2)[1:]})
    seen = []

    def function(storage, location):
        seen.append((storage.nbytes(), location))
        return storage.cpu()

    for where in ("cpu", mt.device("cpu"), {"cuda:0": "cpu"}, function, lambda s, loc: None, lambda s, loc: s,
                  lambda s, loc: serialization.default_restore_location(s, "cpu")):
        assert mt.load(io.BytesIO(content), map_location=where)["x"].device == mt.device("cpu")
    assert seen == [(8, "cpu"), (4, "cpu")] or seen == [(8, "cpu")] * 2
    with pytest.raises(RuntimeError, match="tagged with 'foo'"):
        mt.load(io.BytesIO(content), map_location="foo")
    with pytest.raises(TypeError, match="map_location returned a int"):
        mt.load(io.BytesIO(content), map_location=lambda s, loc: 1)
    with pytest.raises(ZeroDivisionError):
        mt.load(io.BytesIO(content), map_location=lambda s, loc: 1 / 0)


@pytest.mark.parametrize("zip_format", [True, False])
def test_tensors_of_a_gpu(zip_format):
    from minitorch.cuda import is_available

    x = mt.arange(3.0)
    if zip_format:
        content = edited(zipped([x, x[1:]]), lambda text: text.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"))
    else:
        content = zipped([x, x[1:]], _use_new_zipfile_serialization=False).replace(
            b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
    for where in ("cpu", {"cuda:0": "cpu"}, lambda s, loc: s, lambda s, loc: s.cpu()):
        assert mt.load(io.BytesIO(content), map_location=where)[1].tolist() == [1, 2]
    if not is_available():
        with pytest.raises(RuntimeError, match="map_location='cpu'"):
            mt.load(io.BytesIO(content))
    else:
        back = mt.load(io.BytesIO(content))
        back[0].zero_()
        assert back[1].is_cuda and back[1].tolist() == [0, 0]
        mt.save(back, file := io.BytesIO())
        assert b"cuda:0" in file.getvalue()


def test_mmap(tmp_path):
    path = tmp_path / "m.pt"
    mt.save({"x": mt.arange(6.0), "y": mt.ones(2, dtype=mt.bfloat16)}, path)
    back = mt.load(path, mmap=True)
    back["x"].add_(1)  # a private copy of the page
    assert back["x"].sum().item() == 21 and mt.load(path, mmap=True)["x"].sum().item() == 15
    with pytest.raises(ValueError, match="mmap"):
        mt.load(io.BytesIO(path.read_bytes()), mmap=True)
    mt.save(1, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only"):
        mt.load(path, mmap=True)


def test_other_byte_order():
    def swapped(name, content):
        width = {"data/0": 4, "data/1": 8}.get(name, 1)
        return b"big" if name == "byteorder" else np.frombuffer(content, f"u{width}").byteswap().tobytes()

    content = zipped([mt.arange(3.0), mt.tensor([1 + 2j], dtype=mt.complex128)])
    back = mt.load(io.BytesIO(rewritten(content, swapped)))
    assert back[0].tolist() == [0, 1, 2] and back[1].tolist() == [1 + 2j]
    file = rewritten(zipped([mt.arange(3.0)], _disable_byteorder_record=True), swapped)
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        assert mt.load(io.BytesIO(file))[0].tolist() == [0, 1, 2]
    finally:
        serialization.set_default_load_endianness(None)


# The zip file itself

def test_alignment_and_large_records(monkeypatch, torch):
    content = zipped({"a": mt.ones(3), "b": mt.ones(5, dtype=mt.int8)})
    file = zipfile.ZipFile(io.BytesIO(content))
    for entry in file.infolist():
        name, extra = struct.unpack("<HH", content[entry.header_offset + 26:entry.header_offset + 30])
        assert (entry.header_offset + 30 + name + extra) % 64 == 0
    monkeypatch.setattr(archive, "LARGE", 10)  # as if these few bytes were four gigabytes
    content = zipped({"a": mt.ones(3), "b": mt.ones(5, dtype=mt.int8)})
    assert mt.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_no_checksums(torch):
    serialization.set_crc32_options(False)
    try:
        content = zipped({"a": mt.ones(3)})
    finally:
        serialization.set_crc32_options(True)
    assert all(entry.CRC == 0 for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
    assert mt.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]
    assert torch.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]


def rewritten(content, change):
    """A zip file with other contents of its records; None leaves one out."""
    file, out = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    records = [(name, change(name.partition("/")[2], file.read(name))) for name in file.namelist()]
    archive.write(out.write, [record for record in records if record[1] is not None])
    return out.getvalue()


def edited(content, change):
    """A zip file with another pickle."""
    return rewritten(content, lambda name, part: change(part) if name == "data.pkl" else part)


# Hostile and damaged files

def of_pickle(text, storage=bytes(16)):
    out = io.BytesIO()
    archive.write(out.write, [("a/data.pkl", text), ("a/byteorder", b"little"), ("a/data/0", storage),
                              ("a/version", b"3\n")])
    return out.getvalue()


def text(t):
    return b"X" + struct.pack("<I", len(t)) + t.encode()


def number(n):
    return b"\x8a\x0a" + n.to_bytes(10, "little", signed=True)


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def tensor_pickle(offset=0, size=(4,), stride=(1,), count=4, kind="FloatStorage", key="0", location="cpu"):
    """A tensor on a storage of 16 bytes, as a pickle."""
    pid = tuple_of(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text(location), number(count)) + b"Q"
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
        pid, number(offset), tuple_of(*map(number, size)), tuple_of(*map(number, stride)), b"\x89",
        b"ccollections\nOrderedDict\n)R") + b"R.")


def test_the_pickle_that_the_hostile_ones_vary_is_good():
    assert mt.load(io.BytesIO(of_pickle(tensor_pickle()))).tolist() == [0, 0, 0, 0]
    assert mt.load(io.BytesIO(of_pickle(tensor_pickle(size=(1000, 1000), stride=(0, 0))))).shape == (1000, 1000)


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


HOSTILE = {
    "offset past the storage": tensor_pickle(offset=1), "size past the storage": tensor_pickle(size=(5,)),
    "stride past the storage": tensor_pickle(stride=(2,)), "negative size": tensor_pickle(size=(-1,)),
    "negative stride": tensor_pickle(offset=3, stride=(-1,)), "negative offset": tensor_pickle(offset=-1),
    "size beyond 64 bits": tensor_pickle(size=(2**70,)), "stride beyond 64 bits": tensor_pickle(size=(2,),
                                                                                               stride=(2**62,)),
    "product beyond 64 bits": tensor_pickle(size=(2**40, 2**40), stride=(0, 0)),
    "empty, but too large": tensor_pickle(size=(0, 2**62, 2**62), stride=(1, 1, 1)),
    "65 dimensions": tensor_pickle(size=(1,) * 65, stride=(1,) * 65), "ranks differ": tensor_pickle(stride=(1, 1)),
    "more elements than the record": tensor_pickle(count=5), "negative count": tensor_pickle(count=-1),
    "no such record": tensor_pickle(key="1"), "key with a path": tensor_pickle(key="../data.pkl"),
    "unknown storage": tensor_pickle(kind="QInt8Storage"), "class for a storage": tensor_pickle(kind="device"),
    "os.system": pickle.dumps(Attack(os.system, ("true",)), 2),
    "os.system, protocol 4": pickle.dumps(Attack(os.system, ("true",)), 4),
    "eval": pickle.dumps(Attack(eval, ("1",)), 2), "getattr": b"c__builtin__\ngetattr\n.",
    "attribute of a name": b"\x80\x04\x8c\x08builtins\x8c\x0alist.clear\x93.",
    "dunder": b"cminitorch\n__loader__\n.", "instance": b"(i__main__\nC\n.", "object": b"(c__main__\nC\no.",
    "call of a list": b"]" + b")R.", "call of an int": b"K\x01)R.", "call of a type": b"cbuiltins\nint\n(K\x01tR.",
    "call with a list": b"ccollections\nOrderedDict\n]R.", "persistent id as text": b"P0\n.",
    "persistent id of a list": b"]Q.", "extension": b"\x82\x01.", "out of band": b"\x80\x05\x97.",
    "range of everything": b"ccollections\ndeque\n" + tuple_of(b"cbuiltins\nrange\n" + tuple_of(number(2**60)) + b"R") +
                           b"R.",
    "size of a range": b"ctorch\nSize\n" + tuple_of(b"cbuiltins\nrange\n" + tuple_of(number(2**60)) + b"R") + b"R.",
    "bytes of a number": b"cbuiltins\nbytearray\n" + tuple_of(number(2**60)) + b"R.",
    "unhashable key": b"}]K\x01s.", "key without value": b"}(K\x01u.", "append to a dict": b"}K\x01a.",
    "set item of a list": b"]K\x01K\x01s.", "factory that is code": b"ccollections\ndefaultdict\n(c_codecs\nencode\ntR.",
    "codec that is code": b"c_codecs\nencode\n" + tuple_of(text("x"), text("unicode_escape")) + b"R.",
    "state of a list": b"]}b.", "state of a tensor": tensor_pickle()[:-1] + b"}" + text("_array") + b"K\x01sb.",
    "attribute of a tensor": b"ctorch._tensor\n_rebuild_from_type_v2\n" + tuple_of(
        b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nTensor\n", b")", b"}" + text("_array") + b"K\x01s") + b"R.",
    "deep key": b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
    "key that shares parts": b"}" + b")" + b"2\x86" * 200 + b"K\x01s.",
    "deep set": b"\x80\x04(" + b")" + b"\x85" * 100_000 + b"\x91.",
    "objects in an array": b"cnumpy\ndtype\n(" + text("O8") + b"\x89\x88tR.",
    "array without its bytes": pickle.dumps(np.arange(3), 2).replace(b"K\x03\x85", b"K\x09\x85"),
    "array of a huge shape": pickle.dumps(np.arange(3), 2).replace(b"K\x03\x85", number(2**62) + b"\x85"),
    "device": b"ctorch\ndevice\n" + tuple_of(text("evil:0")) + b"R.",
    "empty": b"", "no stop": b"]", "no stack": b"a.", "no mark": b"e.", "unknown opcode": b"\xff.", "cut": b"X\xff\0\0\0ab",
    "unknown memo": b"h\x05.", "four gigabytes of text": b"X\xff\xff\xff\x7fab.", "huge number": b"\x8b\xff\xff\xff\x7f.",
    "eight exabytes of bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "huge memo": b"]r\xff\xff\xff\xff0h\0.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name, tmp_path):
    (tmp_path / "evil.pt").write_bytes(of_pickle(HOSTILE[name]))
    for weights_only in (True, False):
        with pytest.raises(CheckpointError, match=r"load: .*evil\.pt: "):
            mt.load(tmp_path / "evil.pt", weights_only=weights_only)


def test_what_is_refused_is_named():
    for name, call in {"posix.system|nt.system": os.system, "builtins.eval": eval}.items():
        with pytest.raises(pickle.UnpicklingError, match=name):
            mt.load(io.BytesIO(of_pickle(pickle.dumps(Attack(call, ("1",)), 4))))
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        mt.load(io.BytesIO(of_pickle(b"ctorch.nn.modules.linear\nLinear\n)\x81}b.")))


def test_a_module_that_pytorch_saved(torch, tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=r"whole\.pt.*Linear.*state_dict"):
        mt.load(tmp_path / "whole.pt", weights_only=False)


@pytest.mark.parametrize("opening", [b"]", b"ccollections\nOrderedDict\n)R", b"(", b"}K\x01"])
def test_deep_structures_do_no_harm(opening):
    """200,000 lists in each other can be built, and end without exhausting the stack."""
    closing = {b"]": b"a", b"(": b"t", b"}K\x01": b"s"}.get(opening, b"")
    if not closing:
        closing, opening = b"s", opening + b"K\x01"
    n = 200_000
    value = mt.load(io.BytesIO(of_pickle(opening * n + b"N" + closing * n + b".")))
    del value


def test_hostile_zip_files(tmp_path):
    good = zipped({"x": mt.ones(4)})
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", bytes(10_000_000))
    twice = io.BytesIO()
    archive.write(twice.write, [("a/data.pkl", b"N."), ("a/data.pkl", b"N.")])
    folders = io.BytesIO()
    archive.write(folders.write, [("a/data.pkl", b"N."), ("b/data.pkl", b"N.")])
    script = io.BytesIO()
    archive.write(script.write, [("a/data.pkl", b"N."), ("a/constants.pkl", b"N.")])
    end = good.rindex(b"PK\5\6")
    directory = good.index(b"PK\1\2")
    overlapping = bytearray(good)
    place = directory
    while overlapping[place:place + 4] == b"PK\1\2":  # all records at one place, each as long as the file
        overlapping[place + 20:place + 28] = struct.pack("<2I", directory, directory)
        overlapping[place + 42:place + 46] = bytes(4)
        place += 46 + sum(struct.unpack("<3H", overlapping[place + 28:place + 34]))
    for what, content, message in (
            ("bomb", bomb.getvalue(), "compressed"), ("twice", twice.getvalue(), "twice"),
            ("folders", folders.getvalue(), "folders"), ("script", script.getvalue(), "TorchScript"),
            ("overlapping", bytes(overlapping), "larger than the file"), ("truncated", good[:end], "damaged"),
            ("place", good[:end + 16] + b"\xff\xff\0\0" + good[end + 20:], "damaged"),
            ("no pickle", rewritten(good, lambda name, part: None if name == "data.pkl" else part), "no data.pkl"),
            ("no record", rewritten(good, lambda name, part: None if name == "data/0" else part), "missing"),
            ("text", b"hello, I am a text file of some length", "neither"), ("PK", b"PK\3\4rest", "damaged")):
        (tmp_path / "evil.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"evil\.pt.*{message}"):
            mt.load(tmp_path / "evil.pt")
            raise AssertionError(what)


OLDER = zipped({"w": mt.arange(4.0), "epoch": 3}, _use_new_zipfile_serialization=False)


def test_hostile_older_files():
    good = OLDER
    keys = good.index(b"\x80\x02]")
    for content, message in (
            (good[:-1], "ends at byte"), (good[:100], "damaged"), (good[:20], "damaged"),
            (good.replace(b"K\x04N", b"\x8a\x08" + b"\xff" * 7 + b"\x7fN"), "larger than the file"),
            (good[:keys] + b"\x80\x02]X\1\0\0\0" + b"9a.", "list of its storages"),
            (good[:keys] + b"\x80\x02].", "list of its storages"),
            (good.replace(struct.pack("<q", 4) + bytes(4), struct.pack("<q", 3) + bytes(4)), "size of storage"),
            (pickle.dumps({"a": 1}, 2), "not one of torch.save"), (good.replace(b"M\xe9\x03.", b"M\xe8\x03."), "version")):
        with pytest.raises(CheckpointError, match=message):
            mt.load(io.BytesIO(content))


@given(st.data())
def test_damage_never_passes(tmp_path_factory, data):
    """Cut anywhere, a file is refused, naming it; a changed byte is refused or changes values only."""
    path = tmp_path_factory.mktemp("damage") / "damaged"
    kind = data.draw(st.sampled_from(["zip", "older", "safetensors"]))
    content = OLDER if kind == "older" else zipped({"w": mt.arange(4.0), "epoch": 3}) if kind == "zip" else \
        st_torch.save({"w": mt.arange(4.0)})
    path.write_bytes(content[:data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(CheckpointError, match="damaged: "):
        mt.load(path)
    at = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1:])
    try:
        mt.load(path)
    except CheckpointError as error:
        assert "damaged: " in str(error)
    except RuntimeError as error:  # a changed name of a device
        assert "location" in str(error) or "device" in str(error)


@given(st.binary(max_size=60))
def test_random_pickles_never_crash(content):
    try:
        mt.load(io.BytesIO(of_pickle(content)))
    except CheckpointError:
        pass


# PyTorch's first formats

def tar_file(storage_type=b"FloatStorage", values=struct.pack("<4f", 0, 1, 2, 3)):
    """A tar file as PyTorch wrote them in 2016: two tensors, one of them on a part of the other's storage."""
    storages = (pickle.dumps(1, 2) + b"\x80\x02" + tuple_of(number(10), text("cpu"), b"ctorch\n" + storage_type + b"\n") +
                b"." + struct.pack("<q", 4) + values + b"\x80\x02]" +
                tuple_of(number(11), number(10), number(2), number(2)) + b"a.")
    tensors = pickle.dumps(2, 2)
    for key, storage, shape, stride in ((20, 10, (2, 2), (2, 1)), (21, 11, (2,), (1,))):
        tensors += b"\x80\x02" + tuple_of(number(key), number(storage), b"ctorch\nFloatTensor\n") + b"."
        tensors += struct.pack(f"<i4x{2 * len(shape)}qq", len(shape), *shape, *stride, 0)
    content = b"\x80\x02}(" + text("a") + text("20") + b"Q" + text("b") + text("21") + b"Qu."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, part in (("storages", storages), ("tensors", tensors), ("pickle", content)):
            info = tarfile.TarInfo(name)
            info.size = len(part)
            tar.addfile(info, io.BytesIO(part))
    return out.getvalue()


def test_tar_files():
    back = mt.load(io.BytesIO(tar_file()))
    assert back["a"].tolist() == [[0, 1], [2, 3]] and back["b"].tolist() == [2, 3]
    back["a"].zero_()
    assert back["b"].tolist() == [0, 0]
    with pytest.raises(CheckpointError):
        mt.load(io.BytesIO(tar_file(values=bytes(3))))
    with pytest.raises(CheckpointError):
        mt.load(io.BytesIO(tar_file(storage_type=b"Foo")))
    for cut in (400, 1200, 2000):
        with pytest.raises(CheckpointError):
            mt.load(io.BytesIO(tar_file()[:cut]))


def test_tar_files_are_what_pytorch_reads(torch):
    back = torch.load(io.BytesIO(tar_file()), weights_only=False)
    assert back["a"].tolist() == [[0, 1], [2, 3]] and back["b"].tolist() == [2, 3]


def test_parameters_of_the_first_years():
    """Before 0.4: the class called with its values, a state of three or five, storages that are parts of others."""
    tensor = tensor_pickle()[2:-1]
    for state, wanted in ((b"\x89\x89", False), (b"\x88\x89", True)):
        parameter = b"ctorch.nn.parameter\nParameter\n(" + tensor + b"tR(" + state + b"Ntb."
        back = mt.load(io.BytesIO(of_pickle(parameter, np.arange(4, dtype="f4").tobytes())))
        assert type(back) is nn.Parameter and back.requires_grad is wanted and back.tolist() == [0, 1, 2, 3]
    five = b"ctorch.nn.parameter\nParameter\n)\x81(" + tensor + b"NN\x88\x89tb."
    assert mt.load(io.BytesIO(of_pickle(five))).tolist() == [0, 0, 0, 0]
    part = OLDER.replace(b"K\x04N", b"K\x04(X\1\0\0\0vK\x02K\x02t").replace(b"K\x04\x85", b"K\x02\x85")
    assert mt.load(io.BytesIO(part))["w"].tolist() == [2, 3]


def test_strings_of_python_2():
    content = of_pickle(b"(U\x02\xc3\xbcU\x01at.")
    assert mt.load(io.BytesIO(content)) == ("ü", "a")
    assert mt.load(io.BytesIO(content), encoding="latin1") == ("Ã¼", "a")
    assert mt.load(io.BytesIO(content), encoding="bytes") == (b"\xc3\xbc", b"a")


def test_legacy_magic():
    assert pickle.loads(OLDER) == legacy.MAGIC == 0x1950A86A20F9469CFC6C


# The former files, and safetensors

def test_files_of_the_former_save():
    back = mt.load(io.BytesIO(recorded_files.content(recorded_files.FORMER)))
    assert back["numbers"] == (1, -2.5, float("inf"), 3 + 4j, True, None, 2**80) and back[7] == "int key"
    assert back[1, 2] == "tuple key" and type(back["ordered"]) is collections.OrderedDict
    assert back["bytes"] == b"\x00\xff" and back["dtype"] is mt.int8 and back["size"] == (2, 3) and back["set"] == {1, 2}
    assert [t.tolist() for t in back["tensors"]] == [[0, 1, 2], [[], []], 2.5, [True, False]]
    np.testing.assert_array_equal(back["array"], np.arange(4.0))
    back["tensors"][0].add_(1)
    assert mt.load(io.BytesIO(recorded_files.content(recorded_files.FORMER)), map_location="cpu")[""] == "empty key"


def test_descriptions_of_the_former_files_execute_nothing():
    for tree in ({"eval": "print(1)"}, {"object": ["os.system", "true"]}, {"tensor": "missing"}, {"dict": 5},
                 {"list": [{"dtype": "__class__"}]}):
        with pytest.raises(CheckpointError, match="description"):
            mt.load(io.BytesIO(st_numpy.save({}, {"minitorch": json.dumps(tree)})))


def tensors(T=mt):
    return {"a": T.arange(6.).reshape(2, 3), "b": T.tensor([1.5], dtype=T.bfloat16), "scalar": T.tensor(3),
            "flag": T.tensor([True]), "empty": T.zeros(0, 2), "half": T.tensor([0.5], dtype=T.float16),
            "long": T.tensor([2**40]), "ü": T.tensor([1], dtype=T.uint8)}


def test_safetensors(tmp_path):
    path = tmp_path / "m.safetensors"
    st_torch.save_file(tensors(), path, metadata={"format": "pt"})
    for back in (st_torch.load_file(path), st_torch.load_file(path, device="cpu"), st_torch.load(path.read_bytes()),
                 mt.load(path), mt.load(path, mmap=True)):
        assert {name: (t.dtype, t.shape, t.tolist()) for name, t in back.items()} == \
            {name: (t.dtype, t.shape, t.tolist()) for name, t in tensors().items()}
    with safe_open(path, framework="pt", device="cpu") as file:
        assert set(file.keys()) == set(tensors()) and file.metadata() == {"format": "pt"}
        assert file.get_tensor("a").tolist() == [[0, 1, 2], [3, 4, 5]]
        part = file.get_slice("a")
        assert part.get_shape() == [2, 3] and part.get_dtype() == "F32" and part[:, 1].tolist() == [1, 4]
        with pytest.raises(CheckpointError, match="does not contain tensor x"):
            file.get_tensor("x")
    arrays = {"x": np.arange(3), "y": np.ones((2, 2))[:, 1]}
    st_numpy.save_file(arrays, path)
    assert st_numpy.load_file(path)["y"].tolist() == [1, 1]
    assert set(os.listdir(tmp_path)) == {"m.safetensors"}


def test_the_safetensors_package_agrees(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    arrays = {name: t._array for name, t in tensors().items() if name != "b"}
    assert st_numpy.save(arrays, {"k": "v"}) == theirs.save(arrays, {"k": "v"})
    for name, array in theirs.load(st_numpy.save(arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])
    for name, array in st_numpy.load(theirs.save(arrays)).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_what_safetensors_cannot_hold(tmp_path):
    x = mt.arange(6.0)
    for bad, error, message in (({"a": x.reshape(2, 3).t()}, ValueError, "non contiguous"),
                                ({"a": x, "b": x}, RuntimeError, "share memory"),
                                ({"a": x[:4], "b": x[2:]}, RuntimeError, "share memory"), ({"a": 1}, ValueError, "Key `a`"),
                                ([x], ValueError, "dict"), ({"a": mt.tensor([1j], dtype=mt.complex128)}, RuntimeError,
                                                            "complex128")):
        with pytest.raises(error, match=message):
            st_torch.save(bad)
    assert st_torch.load(st_torch.save({"a": x[:3], "b": x[3:]}))["b"].tolist() == [3, 4, 5]


def test_models_with_tied_weights(tmp_path):
    def build():
        model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
        model["b"].weight = model["a"].weight
        return model

    model, other = build(), build()
    st_torch.save_model(model, str(tmp_path / "m"))
    assert len(st_torch.load_file(tmp_path / "m")) == 3
    assert st_torch.load_model(other, tmp_path / "m") == ([], [])
    assert mt.equal(model["b"].weight, other["b"].weight)
    with pytest.raises(RuntimeError, match="Missing"):
        st_torch.load_model(nn.Linear(2, 2), tmp_path / "m")


@pytest.mark.parametrize("header", [b"[]", b'{"a": 1}', b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
                                    b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}',
                                    b'{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,4]}}',
                                    b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
                                    b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                                    b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                                    b"{" + b'"a":{' * 100_000, b"{}", b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}'])
def test_hostile_safetensors(header):
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    with pytest.raises(CheckpointError, match=r"load: <file>: "):
        mt.load(io.BytesIO(content))
    with pytest.raises(CheckpointError):
        st_torch.load(content)


def test_programs_that_import_safetensors(run_python, tmp_path):
    (tmp_path / "p.py").write_text(
        "import torch\nfrom safetensors import safe_open\nfrom safetensors.torch import load_file, save_file\n"
        "save_file({'w': torch.ones(2, dtype=torch.bfloat16)}, 'w.safetensors', metadata={'a': 'b'})\n"
        "print(load_file('w.safetensors')['w'].dtype, safe_open('w.safetensors', 'pt').metadata())\n"
        "torch.save({'w': torch.nn.Linear(2, 1).state_dict()}, 'm.pth')\n"
        "print(list(torch.load('m.pth', map_location=torch.device('cpu'), weights_only=True)['w']))\n"
        "torch.serialization.add_safe_globals([dict])\n")
    out = run_python(f"import os; os.chdir({str(tmp_path)!r})\nfrom minitorch.run import run_file\nrun_file('p.py', [])")
    assert out.split("\n")[:2] == ["torch.bfloat16 {'a': 'b'}", "['weight', 'bias']"]


# pickle and copy

def test_deepcopy():
    x = mt.arange(6.0).reshape(2, 3)
    a, row, t = copy.deepcopy([x, x[0], x.t()])
    row.zero_()
    assert a.tolist() == [[0, 0, 0], [3, 4, 5]] and t.tolist() == [[0, 3], [0, 4], [0, 5]] and x[0, 1] == 1
    assert t.stride() == (1, 3)
    w = mt.ones(2, requires_grad=True)
    w.grad, w.tag, w._mark = mt.ones(2), [1], 3
    twin = copy.deepcopy(w)
    assert twin.grad.tolist() == [1, 1] and twin.tag == [1] and twin.tag is not w.tag and twin._mark == 3
    p = nn.Parameter(mt.ones(2))
    p.grad, p.tag = mt.ones(2), 1
    twin = copy.deepcopy(p)
    assert type(twin) is nn.Parameter and twin.grad is None and not hasattr(twin, "tag") and twin.requires_grad
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(w * 2)


def test_deepcopy_and_pickle_agree_with_pytorch(torch):
    def outcome(T):
        p, w = T.nn.Parameter(T.ones(2)), T.ones(2, requires_grad=True)
        for t in (p, w):
            t.grad, t.tag = T.ones(2), 1
        x = T.arange(4.0)
        result = [(c.grad is None, hasattr(c, "tag"), c.requires_grad, c.is_leaf) for t in (p, w)
                  for c in (copy.deepcopy(t), pickle.loads(pickle.dumps(t)))]
        result.append(pickle.loads(pickle.dumps(w * 2)).is_leaf)
        for pair in (copy.deepcopy((x, x[1:])), pickle.loads(pickle.dumps((x, x[1:]))), copy.copy((x, x[1:]))):
            pair[1].zero_()
            result.append(pair[0].tolist())
        return result

    assert outcome(mt) == outcome(torch)


def test_modules_are_copied_and_pickled():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ModuleList([nn.GRU(4, 4)]))
    model[0].register_forward_hook(_hook)
    model.tied = model[0].weight
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(model, 2))):
        assert repr(twin) == repr(model) and twin.tied is twin[0].weight
        assert [(n, p.tolist(), p.requires_grad) for n, p in twin.named_parameters()] == \
            [(n, p.tolist(), p.requires_grad) for n, p in model.named_parameters()]
        assert all(p is not q for p, q in zip(twin.parameters(), model.parameters()))
        optim.SGD(twin.parameters(), 0.1)
        assert twin[:2](mt.ones(2, 3)).shape == (2, 4)
        twin[3][0](mt.ones(2, 1, 4))[0].sum().backward()


def _hook(module, args, output):
    return output
