"""Every instantiation of every CUDA kernel compiles for the GPUs from 2020 on, and none of them spills registers."""
from __future__ import annotations

import importlib
import re
import shutil
import subprocess

import pytest
from minitorch_kernels.cuda import build

ARCHITECTURES = ("80", "90")  # A100; H100 and H200
NVCC = shutil.which("nvcc")
FILES = sorted(path.name for path in build.FOLDER.glob("*.cu"))


@pytest.fixture(scope="module")
def programs(device):
    """The `Program`s of all launchers, by source file."""
    found = {}
    for path in sorted(build.FOLDER.glob("*.py")):
        module = importlib.import_module(f"minitorch_kernels.cuda.{path.stem}")
        for value in vars(module).values():
            for program in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(program, build.Program):
                    found.setdefault(program.file, {})[id(program)] = program
    return {file: list(those.values()) for file, those in found.items()}


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize("file", FILES)
def test_compiles(file, programs, tmp_path):
    names = list(dict.fromkeys(name for program in programs[file] for name in program.instances()))
    kept = "".join(f"    (void*)({name}),\n" for name in names)
    source = tmp_path / file
    source.write_text(f"{build.source(file)}\nvoid* instantiated[] = {{\n{kept}}};\n", "utf-8")
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    done = subprocess.run([NVCC, "-std=c++17", "-fatbin", *targets, "-Xptxas", "-v", "--threads", "2", source,
                           "-o", tmp_path / "out.fatbin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    compiled = re.findall(r"Compiling entry function '(\S+)' for 'sm_(\d+)'", done.stderr)
    assert len(compiled) == len(names) * len(ARCHITECTURES)
    spills = re.findall(r"Function properties for (\S+)\s+\d+ bytes stack frame, (\d+) bytes spill stores", done.stderr)
    assert not [name for name, stored in spills if int(stored)], "spills registers"
