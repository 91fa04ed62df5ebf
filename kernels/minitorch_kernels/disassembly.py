"""What Numba made of a kernel: the compiled functions that a version calls, their assembly and their LLVM code.

>>> from minitorch_kernels.disassembly import counted
>>> counted("vfmadd231ps %zmm0, %zmm1, %zmm2\\nvaddss %xmm0, %xmm1, %xmm2\\ncallq *%rax")["fused"]
{'512 bits': 1}
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_FUNCTION = re.compile(r"^([\w.$]+):\s*(?:#.*)?$")
_SECTION = re.compile(r"^\s+\.(?:section\s+)?(\.?\w*text\b|data\b|bss\b|\.?[\w.]+,)")
_LABEL = re.compile(r"^(\.?L\w+):")
_JUMP = re.compile(r"^\s+(?:j\w+|b\.\w+|cbn?z|tbn?z)\s+.*?(\.?L\w+)\s*$")
_WIDTHS = (("512 bits", re.compile(r"%?zmm\d")), ("256 bits", re.compile(r"%?ymm\d")),
           ("128 bits", re.compile(r"%?xmm\d|\bv\d+\.(?:16b|8h|4s|2d)")))
_FUSED = re.compile(r"^(?:vfn?m(?:add|sub)|fml[as]|fn?m(?:add|sub))")
_SCALAR = re.compile(r"(?:ss|sd)$|^fn?m(?:add|sub)$")


def compiled_functions(function: Callable) -> dict[str, Any]:
    """Numba's functions that `function` runs, itself or by helpers of this package, by name; of tasks the bodies."""
    found: dict[str, Any] = {}
    pending, seen = [function], set()
    while pending:
        each = pending.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        for value in _named(each):
            launch = getattr(value, "launch", None)
            body = launch.py_func.__globals__["body"] if launch is not None else value
            if hasattr(body, "inspect_asm"):
                found.setdefault(body.py_func.__name__, body)
            elif isinstance(value, FunctionType) and (value.__module__ or "").startswith(__package__):
                pending.append(value)
    if hasattr(function, "inspect_asm"):
        found[function.__name__] = function
    return found


def assembly(compiled: Any, letters: str, llvm: bool = False) -> str:
    """The assembly of a function of Numba's for arrays of the dtype with that letter, as it ran here; "" if it did not.

    It is compiled once more: what comes out of the cache on disk is machine code alone.
    """
    for signature in compiled.nopython_signatures:
        if any(_is(kind, letters) for kind in signature.args):
            fresh = type(compiled)(compiled.py_func, compiled.locals, compiled.targetoptions)
            fresh.compile(signature.args)
            return (fresh.inspect_llvm if llvm else fresh.inspect_asm)(fresh.signatures[0])
    return ""


def functions_in(text: str) -> dict[str, list[str]]:
    """The instructions and labels of each function in an assembly listing, without directives and comments."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    of_code = True
    for line in text.split("\n"):
        if match := _SECTION.match(line):
            of_code = "text" in match[1].lower()
        elif of_code and (match := _FUNCTION.match(line)) and not match[1].startswith((".L", "L")):
            current = found.setdefault(match[1], [])
        elif _LABEL.match(line) or (line.startswith("\t") and not line.lstrip().startswith((".", "#"))):
            current.append(line.partition("#")[0].rstrip())
    own = {name: body for name, body in found.items() if not name.startswith(("NRT_", "_ZN7cpython", "cfunc."))}
    return {name: body for name, body in own.items() if body}


def loops(body: list[str]) -> list[list[str]]:
    """The innermost loops of a function: from a label to a jump back to it, with no such loop within."""
    places = {match[1]: i for i, line in enumerate(body) if (match := _LABEL.match(line))}
    spans = []
    for end, line in enumerate(body):
        match = _JUMP.match(line)
        if match and places.get(match[1], end) < end:
            spans.append((places[match[1]], end))
    inner = [(a, b) for a, b in spans if not any((c, d) != (a, b) and a <= c and d <= b for c, d in spans)]
    return [body[a:b + 1] for a, b in sorted(set(inner))]


def counted(code: str | list[str]) -> dict[str, Any]:
    """How many instructions there are: in all, fused multiply-adds and others on vectors by width, calls, the rest.

    An instruction on a vector register that concerns one number (`vaddss`) is not one on a vector.
    """
    lines = code.split("\n") if isinstance(code, str) else code
    instructions = [line.split(None, 1) for line in lines if line.strip() and not _LABEL.match(line)]
    result: dict[str, Any] = {"instructions": len(instructions), "fused": {}, "vector": {}, "scalar": 0, "calls": 0}
    for name, *rest in instructions:
        operands = rest[0] if rest else ""
        width = next((width for width, pattern in _WIDTHS if pattern.search(operands)), None)
        if name.startswith(("call", "bl")) and name != "blsr":
            result["calls"] += 1
        elif _SCALAR.search(name) and (width == "128 bits" or name.startswith("f")):
            result["scalar"] += 1
        elif width is not None:
            kind = result["fused" if _FUSED.match(name) else "vector"]
            kind[width] = kind.get(width, 0) + 1
    return result


def _named(function: Any) -> Iterator[Any]:
    """What a function of Python names: in its module, its closure, and of modules `module.name`."""
    function = getattr(function, "py_func", function)
    code, space = function.__code__, function.__globals__
    for cell in function.__closure__ or ():
        contents = cell.cell_contents
        yield from contents if isinstance(contents, (list, tuple)) else [contents]
    for name in _names(code):
        value = space.get(name)
        if isinstance(value, ModuleType) and value.__name__.startswith(str(__package__)):
            yield from (vars(value)[other] for other in _names(code) if other in vars(value))
        elif isinstance(value, (list, tuple, dict)):
            yield from value.values() if isinstance(value, dict) else value
        elif value is not None:
            yield value


def _names(code: CodeType) -> list[str]:
    inner = [name for each in code.co_consts if isinstance(each, CodeType) for name in _names(each)]
    return [*code.co_names, *inner]


def _is(kind: Any, letter: str) -> bool:
    """Whether a type of Numba's is an array of that dtype, or holds one."""
    kind = getattr(kind, "dtype", kind)
    kinds = getattr(kind, "types", [kind])
    return any(str(getattr(each, "dtype", each)) == {"f": "float32", "d": "float64"}[letter] for each in kinds)
