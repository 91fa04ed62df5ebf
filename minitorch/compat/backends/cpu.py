"""What the CPU can do."""
from __future__ import annotations


def get_cpu_capability() -> str:
    """The widest vector instructions: AVX512, AVX2 or DEFAULT, as PyTorch names them."""
    from numpy._core._multiarray_umath import __cpu_features__ as found

    return "AVX512" if found.get("AVX512F") else "AVX2" if found.get("AVX2") else "DEFAULT"
