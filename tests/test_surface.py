"""The names that public PyTorch programs use, 600 of them, most used first: a call each with the keywords they pass.

`surface_rows.txt` holds the calls, `surface_recorded.json` what PyTorch 2.13 gives for them (to record them anew:
`python tests/test_surface.py`). Where PyTorch is installed, it is also shown that the record is still what it gives.
"""
from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from surface import run

HERE = Path(__file__).parent
LINES = (HERE / "surface_rows.txt").read_text().splitlines()
ROWS = [re.fullmatch(r"(\d+) (\S+) \| (.+)", line).groups() for line in LINES]
RECORDED = HERE / "surface_recorded.json"
NEEDS = {"T.": "PIL", "tv.": "PIL", "pil": "PIL", "float8": "ml_dtypes", "bfloat16": "ml_dtypes",
         "scaled_mm": "ml_dtypes", "events(": "tensorboard"}
TOLERANCE = 2e-5  # of float32 after a few operations in another order


def close(a, b):
    """Whether two plain values agree."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(close(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        return type(a) in (int, float) and type(b) in (int, float) and \
            math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return a == b and type(a) is type(b)


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text())


@pytest.mark.parametrize(("number", "name", "call"), ROWS, ids=[f"{number}-{name}" for number, name, _ in ROWS])
def test_row(number, name, call, recorded, tmp_path):
    for sign, package in NEEDS.items():
        if sign in call:
            pytest.importorskip(package)
    import minitorch
    import minitorch.vision

    found = json.loads(json.dumps(run(call, minitorch, minitorch.vision, tmp_path)))
    assert close(found, recorded[number]), f"{call}\n  gives   {found}\n  PyTorch {recorded[number]}"


def test_the_record_is_what_pytorch_gives(recorded, tmp_path):
    torch, vision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    if not torch.__version__.startswith("2.13"):
        pytest.skip("recorded from PyTorch 2.13")
    for number, name, call in ROWS[::20]:
        assert close(json.loads(json.dumps(run(call, torch, vision, tmp_path))), recorded[number]), (number, name)


def test_all_rows_are_there():
    table = HERE.parent.parent / "shared" / "torch_api.md"
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 601))
    if not table.exists():
        pytest.skip("the table of names is not here")
    names = [line.split("|")[2].strip() for line in table.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    assert [name for _, name, _ in ROWS] == names


def record():
    """Write down what the installed PyTorch gives."""
    import tempfile

    import torch
    import torch.distributed
    import torch.nn.attention
    import torch.utils.checkpoint
    import torch.utils.data.distributed
    import torch.utils.model_zoo
    import torch.utils.tensorboard
    import torchvision

    lines = []
    for number, name, call in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                value = run(call, torch, torchvision, folder)
            except Exception as error:
                print(f"{number} {name}: {type(error).__name__}: {error}")
                continue
        lines.append(f'"{number}": {json.dumps(value)}')
    RECORDED.write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    record()
