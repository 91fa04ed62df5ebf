"""What is not there: each error names it, and the nearest thing that exists."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("call", "words"), [
    (lambda: mt.sofmax, "'torch' has no attribute 'sofmax'; the nearest that exists is 'softmax'"),
    (lambda: nn.Linera, "'torch.nn' has no attribute 'Linera'; the nearest that exists is 'Linear'"),
    (lambda: nn.Relu, "'Relu'.*'ReLU'"),
    (lambda: F.sofmax, "'torch.nn.functional' has no attribute 'sofmax'; the nearest that exists is 'softmax'"),
    (lambda: mt.zeros(2).unsqeeze, "'Tensor' object has no attribute 'unsqeeze'"),  # Python shows the nearest itself
    (lambda: mt.optim.Adamm, "'torch.optim'.*'Adam'"), (lambda: mt.optim.lr_scheduler.StepLRR, "'StepLR'"),
    (lambda: nn.init.xavier_unifrm_, "'xavier_uniform_'"), (lambda: mt.linalg.invv, "'inv'"),
    (lambda: mt.utils.dat, "'data'"), (lambda: mt.utils.data.DataLoade, "'DataLoader'"),
    (lambda: mt.cuda.is_availabel, "'is_available'"), (lambda: mt.jit.scrip, "'script'"),
    (lambda: mt.zzzzzz, "has no attribute 'zzzzzz'$"),
])
def test_names(call, words):
    with pytest.raises(AttributeError, match=words):
        call()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.Linear(2, 3, biass=True), "'biass'; the nearest that exists is 'bias'"),
    (lambda: mt.optim.SGD([nn.Parameter(mt.ones(1))], lrate=1), "'lrate'"),
    (lambda: mt.optim.Adam([nn.Parameter(mt.ones(1))], beta=1), "'beta'; the nearest that exists is 'betas'"),
    (lambda: mt.utils.data.DataLoader([1], batchsize=1), "'batchsize'; the nearest that exists is 'batch_size'"),
    (lambda: mt.softmax(mt.zeros(2), dims=0), "'dims'; the nearest that exists is 'dim'"),
    (lambda: mt.relu(mt.zeros(2), foo=1), "'foo'; it has none"),
    (lambda: mt.zeros(2).median(dm=0), "'dm'; the nearest that exists is 'dim'"),
])
def test_keywords(call, words):
    with pytest.raises(TypeError, match=words):
        call()


def test_a_users_own_class_keeps_its_own_errors():
    class Net(nn.Module):
        def __init__(self, width=3):
            super().__init__()
            self.fc = nn.Linear(width, 1)

    assert Net(width=4).fc.in_features == 4
    with pytest.raises(TypeError, match="widht"):
        Net(widht=4)


def test_tensors_have_no_getattr():
    assert not hasattr(mt.Tensor, "__getattr__")  # it would make every attribute of every tensor slower to read


def test_axis_and_keepdims_stand_for_dim_and_keepdim():
    x = mt.arange(6.0).view(2, 3)
    assert x.max(axis=1, keepdims=True).values.tolist() == [[2], [5]] and x.median(axis=0).values.tolist() == [0, 1, 2]


def test_modules(tmp_path):
    program = tmp_path / "program.py"
    lines = ["torch.foo", "torch.distribution", "torchvision.transform"]
    program.write_text("\n".join(f"try:\n    import {name}\nexcept ImportError as error:\n    print(error)"
                                 for name in lines))
    path = os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])
    done = subprocess.run([sys.executable, "-m", "minitorch", "run", str(program)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path}, timeout=60)
    assert "'torch.foo'" in done.stdout, done.stderr
    assert "'torch.distribution'; the nearest that exists is 'distributions'" in done.stdout
    assert "'torchvision.transform'; the nearest that exists is 'transforms'" in done.stdout
