"""Saving and loading: PyTorch's files both ways, recorded ones where it is missing, places, pickle and copy."""
import argparse
import collections
import gzip
import io
import os
import pathlib
import pickle
import random
import struct
import typing
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from recorded_files import OLDER, ZIP, edited, rewritten, saved, unpacked

import minitorch as mt
from minitorch import nn, optim, serialization
from minitorch.errors import CheckpointError
from minitorch.serialization import archive
from minitorch.serialization.unpickler import Unpickler


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


# Round trips

@pytest.mark.parametrize("keywords", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4},
                                      {"pickle_protocol": 3, "_use_new_zipfile_serialization": False},
                                      {"_disable_byteorder_record": True}], ids=str)
@pytest.mark.parametrize("weights_only", [None, False])
def test_round_trip(keywords, weights_only):
    check(mt.load(io.BytesIO(saved(value(mt), **keywords)), weights_only=weights_only), value(mt))


@pytest.mark.parametrize(("content", "allowed"), [
    ({"a": [1, (2.5, None)], "s": {1}, "o": collections.OrderedDict(a=1),
      "c": collections.Counter("aa"), "b": bytearray(b"x"), "i": 1j}, True),
    (frozenset([1]), False), (collections.defaultdict(list), False), (collections.deque([1]), False),
    (range(2), False), (slice(1), False),
    (np.float32(1), False), (np.ones(2), False), (SimpleNamespace(a=1), False),
    (argparse.Namespace(a=1), False)], ids=str)
def test_containers_of_weights_only(content, allowed):
    """PyTorch's list: what it refuses is read only without the argument, or declared."""
    file = saved(content)
    if allowed:
        assert mt.load(io.BytesIO(file), weights_only=True) == content
        return
    with pytest.raises(pickle.UnpicklingError, match="weights_only=True refuses"):
        mt.load(io.BytesIO(file), weights_only=True)
    mt.load(io.BytesIO(file), weights_only=False)
    if isinstance(content, collections.deque):
        with serialization.safe_globals([collections.deque]):
            assert mt.load(io.BytesIO(file), weights_only=True) == content
    try:
        import torch
    except ImportError:
        return
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(file), weights_only=True)


def test_recorded_files_of_pytorch():
    check(mt.load(io.BytesIO(unpacked(ZIP))), value(mt))
    older = value(mt)
    del older["u16"]
    check(mt.load(io.BytesIO(unpacked(OLDER))), older)


def test_the_same_bytes_as_pytorch_recorded():
    """The pickle and all other records are PyTorch's, byte by byte, but for the identity of the file."""
    theirs = zipfile.ZipFile(io.BytesIO(unpacked(ZIP)))
    ours = zipfile.ZipFile(io.BytesIO(saved(value(mt))))
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
        model = T.nn.Sequential(T.nn.BatchNorm1d(3), T.nn.Linear(3, 4), T.nn.Tanh(), T.nn.Linear(4, 1))
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
    back = mt.load(io.BytesIO(saved(states)))
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
        back = mt.load(io.BytesIO(saved(obj, **keywords)))
        assert back["named"].indices.tolist() == [0, 0] and type(back["named"]).__name__ == "max"
        assert back["nan"] != back["nan"] and back["self"][0] is back["self"]
        assert (back["strings"] == obj["strings"]).all()
        for key in ("path", "slice", "range", "frozen", "array", "empty", "ns", "none"):
            assert back[key] == obj[key] and type(back[key]) is type(obj[key]), key


def test_memory_that_is_larger_than_its_tensor():
    """Storages are saved as PyTorch's: whole; a buffer of the pool without the end that nobody asked for."""
    x = mt.zeros(1000)[10:12]
    back = mt.load(io.BytesIO(saved(x)))
    assert back.storage_offset() == 10 and back.tolist() == [0, 0]
    large = mt.ones(300, 301) + 1  # comes from the pool, which rounds up
    names = {i.filename: i.file_size for i in zipfile.ZipFile(io.BytesIO(saved(large))).infolist()}
    assert names["archive/data/0"] == 300 * 301 * 4
    flipped = mt.from_numpy(np.arange(4.0)[::2].copy())
    flipped._array = flipped._array[::-1]
    assert mt.load(io.BytesIO(saved(flipped))).tolist() == [2, 0]


def test_same_memory_as_different_types():
    x = mt.ones(2, dtype=mt.complex64)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        saved([x, mt.view_as_real(x)])


def test_storages():
    x = mt.arange(4.0)
    back = mt.load(io.BytesIO(saved([x.storage(), x[1:]])))
    assert back[0].tolist() == [0, 1, 2, 3]
    back[1].zero_()
    assert back[0].tolist() == [0, 0, 0, 0]


def test_hooks_and_graph_are_left_out():
    w = mt.ones(2, requires_grad=True)
    w.register_hook(lambda g: g)
    with pytest.warns(UserWarning, match="hooks"):
        back = mt.load(io.BytesIO(saved([w, w * 2])))
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
    assert mt.load(OnlyReads(saved({"a": 1}))) == {"a": 1}


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
        mt.load(io.BytesIO(saved(1)), foo=1)
    with pytest.raises(TypeError, match="map_location"):
        mt.load(io.BytesIO(saved(1)), map_location=3)
    with pytest.raises(EOFError, match="empty"):
        mt.load(io.BytesIO())
    assert mt.load(io.BytesIO(saved(1)), pickle_module=pickle, encoding="latin1") == 1


class Config:
    def __init__(self, size):
        self.size = size

    def __eq__(self, other):
        return self.size == other.size


Point = collections.namedtuple("Point", "x y")


class _failing:
    def __new__(cls, x, y):
        return x / 0


def test_classes_of_the_program():
    """Written by reference; refused until they are declared safe."""
    obj = {"config": Config(mt.ones(2).shape), "point": Point(1, mt.ones(1))}
    content = saved(obj)
    for weights_only in (None, True, False):
        with pytest.raises(pickle.UnpicklingError, match=r"Config.*state_dict.*add_safe_globals\(\[Config\]\)"):
            mt.load(io.BytesIO(content), weights_only=weights_only)
    wanted = serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    assert wanted == [f"{__name__}.Config", f"{__name__}.Point"]
    assert serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(saved(obj, pickle_protocol=4))) == wanted
    with serialization.safe_globals([Config, Point]):
        back = mt.load(io.BytesIO(content))
        assert serialization.get_safe_globals() == [Config, Point]
        assert serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)) == []
    assert back["config"] == obj["config"] and back["point"].y.tolist() == [1] and type(back["point"]) is Point
    assert serialization.get_safe_globals() == []
    with serialization.safe_globals([(_failing, f"{__name__}.Point"), Config]):
        with pytest.raises(ZeroDivisionError):  # what declared code raises is not called damage
            mt.load(io.BytesIO(saved(obj)))
        serialization.clear_safe_globals()
        assert serialization.get_safe_globals() == []


class Scaled(mt.Tensor):
    pass


def test_subclass_of_tensor():
    x = mt.ones(2).as_subclass(Scaled) if hasattr(mt.Tensor, "as_subclass") else Scaled([1.0, 1.0])
    content = saved(x)
    with pytest.raises(CheckpointError, match="Scaled"):
        mt.load(io.BytesIO(content))
    with serialization.safe_globals([Scaled]):
        assert type(mt.load(io.BytesIO(content))) is Scaled


class Net(nn.Module):
    """A model as programs define them."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
        self.head, self.activation, self.sizes = nn.Linear(4, 2), nn.functional.relu, {"in": 3}

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        assert "never" not in name, "run by a file"

    def forward(self, x):
        return self.activation(self.head(self.body(x)))


def test_whole_modules(tmp_path):
    net, path, x = Net().eval(), tmp_path / "net.pt", mt.randn(5, 3)
    net(x).sum().backward()
    mt.save(net, path)
    with pytest.raises(CheckpointError, match=r"Net.*state_dict\(\).*add_safe_globals"):
        mt.load(path)
    again = mt.load(path, weights_only=False)
    assert type(again) is Net and not again.training and again.sizes == {"in": 3}
    assert (again(x) == net(x)).all() and list(again.state_dict()) == list(net.state_dict())
    mt.optim.SGD(again.parameters(), 0.1).zero_grad()
    with serialization.safe_globals([Net, nn.Sequential, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.functional.relu]):
        assert (mt.load(path)(x) == net(x)).all()


class Trap:
    """Not a module."""

    def __init__(self, *arguments):
        raise AssertionError("run by a file")

    def __setstate__(self, state):
        raise AssertionError("run by a file")


@pytest.mark.parametrize("content", [
    b"cposix\nsystem\n(S'true'\ntR.",  # a function of a loaded module
    f"c{__name__}\nTrap\n(tR.".encode(), f"c{__name__}\nTrap\n)\x81.".encode(),  # a class that is no module
    f"c{__name__}\nNet\n(tR.".encode(),  # its constructor called
    b"cminitorch.nn.init\nzeros_\n(I1\ntR.",  # a function of minitorch called
    f"c{__name__}\nNet\n)\x81(I1\nI2\ndb.".encode(),  # attributes that have no names
])
def test_modules_execute_nothing(content):
    with pytest.raises(CheckpointError):
        Unpickler(modules=True).load(io.BytesIO(b"\x80\x02" + content))


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "f"
    mt.save({"old": 1}, path)
    with pytest.raises(TypeError, match="minitorch's own"):
        mt.save(nn.functional.relu, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        mt.save(lambda: 1, path)
    with pytest.raises(TypeError, match="pickle"):
        mt.save(open(path, "rb"), path)  # noqa: SIM115
    assert mt.load(path) == {"old": 1} and os.listdir(tmp_path) == ["f"]


# Places

def test_map_location():
    assert {str, mt.device, dict[str, str], type(None)} < set(typing.get_args(serialization.MAP_LOCATION))
    content = saved({"x": mt.ones(2), "y": mt.ones(2)[1:]})
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
        content = edited(saved([x, x[1:]]), lambda text: text.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0"))
    else:
        content = saved([x, x[1:]], _use_new_zipfile_serialization=False).replace(
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

    content = saved([mt.arange(3.0), mt.tensor([1 + 2j], dtype=mt.complex128)])
    back = mt.load(io.BytesIO(rewritten(content, swapped)))
    assert back[0].tolist() == [0, 1, 2] and back[1].tolist() == [1 + 2j]
    file = rewritten(saved([mt.arange(3.0)], _disable_byteorder_record=True), swapped)
    serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
    try:
        assert mt.load(io.BytesIO(file))[0].tolist() == [0, 1, 2]
    finally:
        serialization.set_default_load_endianness(None)


# The zip file itself

def test_alignment_and_large_records(monkeypatch, torch):
    content = saved({"a": mt.ones(3), "b": mt.ones(5, dtype=mt.int8)})
    file = zipfile.ZipFile(io.BytesIO(content))
    for entry in file.infolist():
        name, extra = struct.unpack("<HH", content[entry.header_offset + 26:entry.header_offset + 30])
        assert (entry.header_offset + 30 + name + extra) % 64 == 0
    monkeypatch.setattr(archive, "LARGE", 10)  # as if these few bytes were four gigabytes
    content = saved({"a": mt.ones(3), "b": mt.ones(5, dtype=mt.int8)})
    assert mt.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_no_checksums(torch):
    serialization.set_crc32_options(False)
    try:
        content = saved({"a": mt.ones(3)})
    finally:
        serialization.set_crc32_options(True)
    assert all(entry.CRC == 0 for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
    assert mt.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]
    assert torch.load(io.BytesIO(content))["a"].tolist() == [1, 1, 1]
