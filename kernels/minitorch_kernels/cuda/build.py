"""From CUDA C to kernels that can be launched: the sources of this folder, compiled by NVRTC when first used.

    program = Program("softmax.cu", {"rows": (KINDS, FLOATS, (False, True))})
    program.launch("rows", ("Softmax", ctype(x), True), (count,), (256,), (x, y, np.int64(count), np.int32(n)))

A `Program` declares which instantiations of its templates there are. One is compiled when it is first launched, for
the GPU at hand, which takes some tenths of a second; CuPy keeps what was compiled on disk. NVRTC is given one text
without any of the toolkit's headers, so nothing but CuPy and the driver need be installed.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from .lazily import cupy

FOLDER = Path(__file__).parent
FLOATS = ("float", "double", "half", "bfloat16")
OPTIONS = ("--std=c++17",)
PLENTY = 48 << 10  # bytes of dynamic shared memory that every kernel may have; more must be asked for

_CTYPES = {"f": "float", "d": "double", "e": "half", "E": "bfloat16", "?": "bool", "b": "signed char",
           "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
           "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long"}


def ctype(array: Any) -> str:
    """The type of an array's elements, as the sources call it."""
    return _CTYPES[array.dtype.char]


class Program:
    """One source file and the instantiations of its kernels.

    `kernels` gives for each kernel a tuple of choices for each of its template's parameters; () for a kernel that is
    no template.

    >>> list(Program("softmax.cu", {"rows": (("Softmax",), ("float", "half"), (False, True))}).instances())[:2]
    ['rows<Softmax, float, false>', 'rows<Softmax, float, true>']
    """

    def __init__(self, file: str, kernels: dict[str, tuple[tuple, ...]]):
        self.file, self.kernels = file, kernels
        self._functions: dict[tuple[str, tuple], Any] = {}
        self._asked: dict[tuple, int] = {}

    def launch(self, name: str, types: tuple, grid: tuple, block: tuple, arguments: tuple, shared: int = 0) -> None:
        """Run kernel `name` with those template arguments on CuPy's current stream.

        `grid` counts blocks, `block` threads, `shared` bytes of dynamic shared memory. `arguments` are CuPy arrays,
        for which the kernel gets pointers, NumPy scalars of the parameters' own types, and NumPy arrays of one
        structured element, which is a struct passed by value. Raises ValueError for an instantiation that is not
        declared.
        """
        if (name, types) not in self._functions:
            self.compile([(name, types)])
        function = self._functions[name, types]
        if shared > PLENTY:
            self._ask(function, name, types, shared)
        function(grid, block, arguments, shared_mem=shared)

    def all(self) -> Iterator[tuple[str, tuple]]:
        """All instantiations: names and template arguments."""
        for name, parameters in self.kernels.items():
            for types in product(*parameters):
                yield name, types

    def instances(self) -> Iterator[str]:
        """All instantiations, as C++ names them."""
        return (expression(*instance) for instance in self.all())

    def source(self) -> str:
        """The whole text."""
        return source(self.file)

    def compile(self, wanted: Iterable[tuple[str, tuple]]) -> None:
        """Compile instantiations, a name and template arguments each, as one module: quicker than one after the other.

        Raises ValueError for one that is not declared.
        """
        names = {key: self._declared(*key) for key in wanted if key not in self._functions}
        if names:
            module = cupy.RawModule(code=self.source(), options=OPTIONS, name_expressions=tuple(names.values()))
            self._functions.update((key, module.get_function(name)) for key, name in names.items())

    def _declared(self, name: str, types: tuple) -> str:
        parameters = self.kernels.get(name)
        if parameters is None or len(parameters) != len(types) or \
                not all(t in choices for t, choices in zip(types, parameters)):
            raise ValueError(f"{self.file}: {expression(name, types)} is not among its instantiations")
        return expression(name, types)

    def _ask(self, function: Any, name: str, types: tuple, shared: int) -> None:
        """More than 48 KiB a block are granted to a kernel once, on each GPU that it runs on."""
        key = (name, types, cupy.cuda.runtime.getDevice())
        if self._asked.get(key, PLENTY) < shared:
            function.max_dynamic_shared_size_bytes = self._asked[key] = shared


def expression(name: str, types: tuple) -> str:
    """`name<float, 4, true>`."""
    texts = [str(t).lower() if isinstance(t, bool) else str(t) for t in types]
    return f"{name}<{', '.join(texts)}>" if types else name


@cache
def source(file: str) -> str:
    """The text of a file of this folder, with those that it includes in the places of the #include lines, once each."""
    return _pasted(file, set())


def _pasted(file: str, done: set[str]) -> str:
    done.add(file)
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text("utf-8").splitlines(), 1):
        included = re.match(r'#include "(.+)"$', line)
        if included is None:
            lines.append(line)
        elif included[1] not in done:
            lines += [_pasted(included[1], done), f'#line {number + 1} "{file}"']
        else:
            lines.append("")
    return "\n".join(lines)
