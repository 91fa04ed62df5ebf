"""Every instantiation of every CUDA kernel compiles for the GPUs from 2020 on, and none of them spills registers.

No GPU is needed for it. It is done in the background while other tests run, and these tests come last.
"""
from __future__ import annotations

import importlib
import re
from concurrent.futures import ThreadPoolExecutor

import compilers
import pytest
from minitorch_kernels.cuda import build

ARCHITECTURES = ("sm_80", "sm_90")  # A100; H100 and H200
FILES = sorted((path.name for path in build.FOLDER.glob("*.cu")),
               key=lambda name: -(build.FOLDER / name).stat().st_size)  # the longest first

_compiling = {}


def start(folder):
    """Begin with all files, one after the other, beside whatever else this process does."""
    if not _compiling and compilers.missing() is None:
        worker = ThreadPoolExecutor(1)
        for file in FILES:
            names = list(dict.fromkeys(name for program in programs(file) for name in program.instances()))
            _compiling.update({(file, a): (worker.submit(compilers.compile_cuda, build.source(file), names, a, folder),
                                           len(names)) for a in ARCHITECTURES})
        worker.shutdown(wait=False)


def programs(file):
    """The `Program`s of that source in all launchers."""
    for path in sorted(build.FOLDER.glob("*.py")):
        for value in vars(importlib.import_module(f"minitorch_kernels.cuda.{path.stem}")).values():
            for program in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(program, build.Program) and program.file == file:
                    yield program


@pytest.mark.skipif(compilers.missing() is not None, reason=str(compilers.missing()))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_compiles(file, architecture, tmp_path_factory):
    start(tmp_path_factory.mktemp("cubins"))
    work, instances = _compiling[file, architecture]
    wrong, report = work.result()
    assert wrong is None, wrong[-4000:]
    compiled = re.findall(rf"Compiling entry function '(\S+)' for '{architecture}'", report)
    assert len(compiled) == instances > 0
    spills = re.findall(r"Function properties for (\S+)\s[^,]* stack frame, (\d+) bytes spill stores", report)
    assert len(spills) >= instances and not [name for name, stored in spills if int(stored)], "spills registers"
