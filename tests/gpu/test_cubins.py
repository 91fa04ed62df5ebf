"""Every instantiation of every CUDA kernel compiles for the GPUs from 2020 on, and none of them spills registers.

No GPU is needed for it, but nvcc. It works in the background while other tests run, and these tests come last.
"""
from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from minitorch_kernels.cuda import build

ARCHITECTURES = ("80", "90")  # A100; H100 and H200
NVCC = shutil.which("nvcc")
FILES = sorted((path.name for path in build.FOLDER.glob("*.cu")),
               key=lambda name: -(build.FOLDER / name).stat().st_size)  # the longest first

_compiling = {}


def start(folder):
    """Let nvcc begin with all files, one after the other, behind whatever else wants the processor."""
    if NVCC and not _compiling:
        worker = ThreadPoolExecutor(1)
        _compiling.update({file: worker.submit(compiled, file, folder) for file in FILES})
        worker.shutdown(wait=False)


def compiled(file, folder):
    """The number of the file's instantiations, and nvcc's exit code and report for them."""
    names = list(dict.fromkeys(name for program in programs(file) for name in program.instances()))
    kept = "".join(f"    (void*)({name}),\n" for name in names)
    source = folder / file
    source.write_text(f"{build.source(file)}\nvoid* instantiated[] = {{\n{kept}}};\n", "utf-8")
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    command = [NVCC, "-std=c++17", "-fatbin", *targets, "-Xptxas", "-v", source, "-o", source.with_suffix(".fatbin")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=lambda: os.nice(10))
    return len(names), done.returncode, done.stderr


def programs(file):
    """The `Program`s of that source in all launchers."""
    for path in sorted(build.FOLDER.glob("*.py")):
        for value in vars(importlib.import_module(f"minitorch_kernels.cuda.{path.stem}")).values():
            for program in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(program, build.Program) and program.file == file:
                    yield program


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize("file", FILES)
def test_compiles(file, tmp_path):
    start(tmp_path)
    instances, failed, report = _compiling[file].result()
    assert not failed, report[-4000:]
    assert len(re.findall(r"Compiling entry function '\S+' for 'sm_\d+'", report)) == instances * len(ARCHITECTURES)
    spills = re.findall(r"Function properties for (\S+)\s+\d+ bytes stack frame, (\d+) bytes spill stores", report)
    assert not [name for name, stored in spills if int(stored)], "spills registers"
