"""CUDA C compiled where no GPU is: by NVRTC, which compiles the kernels for their users too, else by nvcc."""
from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path

from minitorch_kernels.cuda.build import OPTIONS


@cache
def nvrtc():
    """The library, of the package nvidia-cuda-nvrtc or of a toolkit, or None."""
    found = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    names = [*(path for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so.1?"))),
             "libnvrtc.so.13", "libnvrtc.so.12"]
    for name in names:
        try:
            return ctypes.CDLL(str(name))
        except OSError:
            continue
    return None


def missing():
    """Why nothing can be compiled, or None."""
    return None if nvrtc() or shutil.which("nvcc") else "neither NVRTC nor nvcc is installed"


def compile_cuda(text, names, architecture, folder):
    """What went wrong or None, and the assembler's report, of the instantiations `names` for "sm_90" or another."""
    if nvrtc():
        return _by_nvrtc(nvrtc(), text, names, architecture)
    return _by_nvcc(text, names, architecture, folder)


def _by_nvrtc(library, text, names, architecture):
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    for name in names:
        library.nvrtcAddNameExpression(program, name.encode())
    options = [option.encode() for option in (*OPTIONS, "-ftz=true", f"-arch={architecture}", "--ptxas-options=-v")]
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    report = log.value.decode(errors="replace")
    return (report if failed else None), report


def _by_nvcc(text, names, architecture, folder):
    source = folder / f"kernels_{architecture}_{abs(hash(text))}.cu"
    kept = "".join(f"    (void*)({name}),\n" for name in names)  # named, and so made
    source.write_text(f"{text}\nvoid* instantiated[] = {{\n{kept}}};\n", "utf-8")
    done = subprocess.run(["nvcc", *OPTIONS, "-cubin", f"-arch={architecture}", "-Xptxas", "-v", source, "-o",
                           source.with_suffix(".cubin")], capture_output=True, text=True)
    return (done.stderr if done.returncode else None), done.stderr
