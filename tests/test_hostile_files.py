"""Files that are damaged or meant to do harm: they are refused, by name, and nothing in them is executed. Old ones."""
import contextlib
import io
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_files import number, of_pickle, rewritten, saved, tensor_pickle, text, tuple_of

import minitorch as mt
from minitorch import nn
from minitorch.errors import CheckpointError
from minitorch.serialization import archive, legacy
from minitorch.serialization.safetensors import torch as st_torch


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
    "set item of a list": b"]K\x01K\x01s.",
    "factory that is code": b"ccollections\ndefaultdict\n(c_codecs\nencode\ntR.",
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
    "empty": b"", "no stop": b"]", "no stack": b"a.", "no mark": b"e.", "unknown opcode": b"\xff.",
    "cut": b"X\xff\0\0\0ab", "unknown memo": b"h\x05.", "two gigabytes of text": b"X\xff\xff\xff\x7fab.",
    "huge number": b"\x8b\xff\xff\xff\x7f.",
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
    """50,000 lists in each other can be built, and end without exhausting the stack."""
    closing = {b"]": b"a", b"(": b"t", b"}K\x01": b"s"}.get(opening, b"")
    if not closing:
        closing, opening = b"s", opening + b"K\x01"
    n = 50_000
    deep = mt.load(io.BytesIO(of_pickle(opening * n + b"N" + closing * n + b".")))
    del deep


def test_hostile_zip_files(tmp_path):
    good = saved({"x": mt.ones(4)})
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
            ("place", good[:end + 16] + b"\xff\xff\0\0" + good[end + 20:], "ends at byte"),
            ("no pickle", rewritten(good, lambda name, part: None if name == "data.pkl" else part), "no data.pkl"),
            ("no record", rewritten(good, lambda name, part: None if name == "data/0" else part), "missing"),
            ("text", b"hello, I am a text file of some length", "neither"), ("PK", b"PK\3\4rest", "damaged")):
        (tmp_path / "evil.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"evil\.pt.*{message}"):
            mt.load(tmp_path / "evil.pt")
            raise AssertionError(what)


OLDER = saved({"w": mt.arange(4.0), "epoch": 3}, _use_new_zipfile_serialization=False)


def test_hostile_older_files():
    good = OLDER
    keys = good.index(b"\x80\x02]")
    for content, message in (
            (good[:-1], "ends at byte"), (good[:100], "damaged"), (good[:20], "damaged"),
            (good.replace(b"K\x04N", b"\x8a\x08" + b"\xff" * 7 + b"\x7fN"), "larger than the file"),
            (good[:keys] + b"\x80\x02]X\1\0\0\0" + b"9a.", "list of its storages"),
            (good[:keys] + b"\x80\x02].", "list of its storages"),
            (good.replace(struct.pack("<q", 4) + bytes(4), struct.pack("<q", 3) + bytes(4)), "size of storage"),
            (pickle.dumps({"a": 1}, 2), "not one of torch.save"),
            (good.replace(b"M\xe9\x03.", b"M\xe8\x03."), "version")):
        with pytest.raises(CheckpointError, match=message):
            mt.load(io.BytesIO(content))


@given(st.data())
def test_damage_never_passes(tmp_path_factory, data):
    """Cut anywhere, a file is refused, naming it; a changed byte is refused or changes values only."""
    path = tmp_path_factory.mktemp("damage") / "damaged"
    kind = data.draw(st.sampled_from(["zip", "older", "safetensors"]))
    content = OLDER if kind == "older" else saved({"w": mt.arange(4.0), "epoch": 3}) if kind == "zip" else \
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
    with contextlib.suppress(CheckpointError):
        mt.load(io.BytesIO(of_pickle(content)))


# PyTorch's first formats

def tar_file(kind=b"FloatStorage", numbers=b"\0\0\0\0\0\0\x80?\0\0\0@\0\0@@"):
    """A tar file as PyTorch wrote them in 2016: two tensors, one of them on a part of the other's storage."""
    storages = (pickle.dumps(1, 2) + b"\x80\x02" + tuple_of(number(10), text("cpu"), b"ctorch\n" + kind + b"\n") +
                b"." + struct.pack("<q", 4) + numbers + b"\x80\x02]" +
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
        mt.load(io.BytesIO(tar_file(numbers=bytes(3))))
    with pytest.raises(CheckpointError):
        mt.load(io.BytesIO(tar_file(kind=b"Foo")))
    for cut in (400, 1200, 2000):
        with pytest.raises(CheckpointError):
            mt.load(io.BytesIO(tar_file()[:cut]))


def test_tar_files_are_what_pytorch_reads(torch, tmp_path):
    (tmp_path / "f.tar").write_bytes(tar_file())
    back = torch.load(tmp_path / "f.tar", weights_only=False)
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
