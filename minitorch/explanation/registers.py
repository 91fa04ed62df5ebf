"""`minitorch explain NAME --registers`: registers, spills and shared memory of CUDA kernels, as ptxas counts them."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import minitorch_kernels
from minitorch_kernels import table

ARCHITECTURE = "sm_90"
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")
_GLOBAL = re.compile(r"__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\([^)]*\)\s*)?(?:void\s+)?(\w+)\s*\(")


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
    """A line for each CUDA kernel in `file`, or in the sources of the kernels that `name` calls.

    Raises FileNotFoundError where there is no such file or no nvcc, RuntimeError where it does not compile.
    """
    if file:
        return "\n".join(map(str, usage(Path(file), architecture)))
    from .description import describe

    lines = []
    for kernel in describe(name).kernels:
        sources = sources_of(kernel)
        lines += [str(found) for source in sources for found in usage(source, architecture)
                  if found.name.startswith(kernel)]
        if not sources:
            other = [v.name for v in table.get(kernel).versions if v.device == "cuda"]
            lines.append(f"{kernel}: " + (f"version {', '.join(other)} has no CUDA source of its own" if other else
                         "no CUDA version: on a GPU its reference runs, on the kernels of CuPy"))
    return "\n".join(lines) or f"{name}: calls no kernel"


def sources_of(kernel: str) -> list[Path]:
    """The .cu files of the package with a CUDA kernel whose name begins with `kernel`."""
    folder = Path(minitorch_kernels.__file__).parent / "cuda"
    return [path for path in sorted(folder.glob("*.cu"))
            if any(name.startswith(kernel) for name in _GLOBAL.findall(path.read_text("utf-8")))]


def usage(source: Path, architecture: str = ARCHITECTURE) -> list[Usage]:
    """What each kernel of a .cu file uses, compiled by nvcc, for which no GPU is needed."""
    if not source.is_file():
        raise FileNotFoundError(f"--registers: there is no file {str(source)!r}")
    command = [_nvcc(), "-cubin", f"-arch={architecture}", "-Xptxas", "-v"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "-o", os.path.join(folder, "out.cubin"), str(source)], text=True,
                              capture_output=True, check=False)
    if done.returncode:
        first = next((line for line in done.stderr.split("\n") if "error" in line), done.stderr.strip()[:200])
        raise RuntimeError(f"--registers: nvcc does not compile {source.name}: {first}")
    return parsed(done.stderr + done.stdout)


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
