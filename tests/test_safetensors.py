"""safetensors files both ways, and those that `save` wrote before it wrote PyTorch's."""
import collections
import io
import json
import os

import numpy as np
import pytest
from recorded_files import FORMER, unpacked

import minitorch as mt
from minitorch import nn
from minitorch.errors import CheckpointError
from minitorch.serialization.safetensors import numpy as st_numpy
from minitorch.serialization.safetensors import safe_open
from minitorch.serialization.safetensors import torch as st_torch


def test_files_of_the_former_save():
    back = mt.load(io.BytesIO(unpacked(FORMER)))
    assert back["numbers"] == (1, -2.5, float("inf"), 3 + 4j, True, None, 2**80) and back[7] == "int key"
    assert back[1, 2] == "tuple key" and type(back["ordered"]) is collections.OrderedDict
    assert back["bytes"] == b"\x00\xff" and back["dtype"] is mt.int8
    assert back["size"] == (2, 3) and back["set"] == {1, 2}
    assert [t.tolist() for t in back["tensors"]] == [[0, 1, 2], [[], []], 2.5, [True, False]]
    np.testing.assert_array_equal(back["array"], np.arange(4.0))
    back["tensors"][0].add_(1)
    assert mt.load(io.BytesIO(unpacked(FORMER)), map_location="cpu")[""] == "empty key"


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
    for bad, error, message in (
            ({"a": x.reshape(2, 3).t()}, ValueError, "non contiguous"),
            ({"a": x, "b": x}, RuntimeError, "share memory"),
            ({"a": x[:4], "b": x[2:]}, RuntimeError, "share memory"), ({"a": 1}, ValueError, "Key `a`"),
            ([x], ValueError, "dict"), ({"a": mt.tensor([1j], dtype=mt.complex128)}, RuntimeError, "complex128")):
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
                                    b"{" + b'"a":{' * 100_000, b"{}",
                                    b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}'])
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
    out = run_python(f"import os; os.chdir({str(tmp_path)!r})\n"
                     "from minitorch.run import run_file\nrun_file('p.py', [])")
    assert out.split("\n")[:2] == ["torch.bfloat16 {'a': 'b'}", "['weight', 'bias']"]
