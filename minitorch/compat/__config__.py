"""What this is built with, as text."""
from __future__ import annotations


def show() -> str:
    """The packages below and their versions."""
    from importlib.metadata import PackageNotFoundError, version

    from minitorch import __version__

    lines = [f"minitorch {__version__}, shaped like PyTorch, with:"]
    for name in ("numpy", "numba", "cupy-cuda13x", "cupy-cuda12x", "ml_dtypes"):
        try:
            lines.append(f"  - {name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"


def parallel_info() -> str:
    """How many threads kernels use."""
    from minitorch import get_num_threads

    return f"kernels: a pool of Python threads, get_num_threads() : {get_num_threads()}\n"
