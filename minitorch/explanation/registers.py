"""`minitorch explain NAME --registers`: registers, spills and shared memory of CUDA kernels, as ptxas counts them."""
from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from minitorch_kernels import table
from minitorch_kernels.cuda.build import Program

ARCHITECTURE = "sm_90"
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


@dataclass(frozen=True)
class Usage:
    """What a thread of a CUDA kernel uses; `shared` is for each block."""

    name: str
    architecture: str
    registers: int
    stack: int  # bytes
    stores: int  # bytes spilled to memory
    loads: int
    shared: int  # bytes

    def __str__(self) -> str:
        spilled = self.stores or self.loads
        spills = f"{self.stores} bytes of spills stored, {self.loads} loaded" if spilled else "no spills"
        return f"{self.name}: {self.registers} registers, {spills}, {self.stack} bytes of stack, " \
               f"{self.shared} bytes of shared memory ({self.architecture})"


def text_for(name: str, file: str = "", architecture: str = ARCHITECTURE) -> str:
    """A line for each CUDA kernel in `file`, or in the sources that the kernels which `name` calls run on the GPU.

    A template has one line, with the most that any of its instantiations uses. Raises FileNotFoundError where there
    is no such file or no nvcc, RuntimeError where it does not compile.
    """
    if file:
        path = Path(file)
        if not path.is_file():
            raise FileNotFoundError(f"--registers: there is no file {file!r}")
        return "\n".join(map(str, usage(path.read_text("utf-8"), path.name, architecture)))
    from .description import describe

    lines: list[str] = []
    for kernel in describe(name).kernels:
        programs = programs_of(kernel)
        for program in programs:
            text = f"{program.source()}\n{kept(program)}"
            lines += [f"{program.file}: {found}" for found in most(usage(text, program.file, architecture))]
        if not programs:
            other = [v.name for v in table.get(kernel).versions if v.device == "cuda"]
            lines.append(f"{kernel}: " + (f"version {', '.join(other)} has no CUDA source of its own" if other else
                         "no CUDA version: on a GPU its reference runs, on the kernels of CuPy"))
    return "\n".join(dict.fromkeys(lines)) or f"{name}: calls no kernel"


def programs_of(kernel: str) -> list[Program]:
    """The sources, with their instantiations, that belong to the launchers of the kernel's CUDA versions."""
    modules = [v.where.split(":")[0] for v in table.get(kernel).versions if v.device == "cuda" and type(v.where) is str]
    return [value for module in dict.fromkeys(modules) for value in vars(importlib.import_module(module)).values()
            if isinstance(value, Program)]


def kept(program: Program) -> str:
    """C++ that names all instantiations, so that the compiler makes them."""
    names = ",\n".join(f"    (void*)({name})" for name in program.instances())
    return f"void* instantiated[] = {{\n{names}\n}};\n"


def usage(text: str, file: str, architecture: str = ARCHITECTURE) -> list[Usage]:
    """What each kernel of a source uses, compiled by nvcc, for which no GPU is needed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / file
        source.write_text(text, "utf-8")
        command = [_nvcc(), "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v", str(source), "-o",
                   str(source.with_suffix(".cubin"))]
        done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        first = next((line for line in done.stderr.split("\n") if "error" in line), done.stderr.strip()[:200])
        raise RuntimeError(f"--registers: nvcc does not compile {file}: {first}")
    return parsed(done.stderr + done.stdout)


def most(found: list[Usage]) -> list[Usage]:
    """For each name the most of everything."""
    by_name: dict[str, list[Usage]] = {}
    for each in found:
        by_name.setdefault(each.name, []).append(each)
    figures = ("registers", "stack", "stores", "loads", "shared")
    return [Usage(name, group[0].architecture, **{f: max(getattr(each, f) for each in group) for f in figures})
            for name, group in sorted(by_name.items())]


def parsed(report: str) -> list[Usage]:
    """The kernels in what `ptxas -v` prints."""
    found: list[Usage] = []
    name, architecture, spills = "", "", (0, 0, 0)
    for line in report.split("\n"):
        if match := _ENTRY.search(line):
            name, architecture = _readable(match[1]), match[2]
        elif match := _SPILLS.search(line):
            spills = int(match[1]), int(match[2]), int(match[3])
        elif name and (match := _USED.search(line)):
            found.append(Usage(name, architecture, int(match[1]), *spills, int(match[2] or 0)))
            name, spills = "", (0, 0, 0)
    return found


def _readable(symbol: str) -> str:
    """The name in a symbol of C++: the 4 letters of `_Z4axpyPfS_i`."""
    match = re.match(r"_ZN?(\d+)", symbol)
    return symbol[match.end():match.end() + int(match[1])] if match else symbol


def _nvcc() -> str:
    """nvcc on the path, in CUDA's folder, or in the folder of a package of pip's."""
    places = [os.path.join(os.environ[key], "bin") for key in ("CUDA_HOME", "CUDA_PATH") if key in os.environ]
    places += [str(path) for entry in sys.path for path in Path(entry or ".").glob("nvidia/*/bin")]
    found = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join([*places, "/usr/local/cuda/bin"]))
    if found is None:
        raise FileNotFoundError("--registers needs nvcc, which is not installed: NVIDIA's CUDA toolkit has it "
                                "(no GPU is needed)")
    return found
