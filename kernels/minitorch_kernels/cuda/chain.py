"""Chains of elementwise operations (fused.py) as CUDA C: the same table of operations, translated by Python's `ast`."""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

from ..fused import BOOLEAN, OPERATIONS, Chain
from .build import OPTIONS, source
from .lazily import cupy

THREADS = 256  # a block
BLOCKS = 4096  # at most: beyond some 30 for each multiprocessor a thread goes on to its next vector instead
MASKS = {"where": 0, "masked_scale": 1}  # operations with a mask, and its place
TYPES = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat16"}


def build(chain: Chain) -> Kernel:
    """The chain's kernel, which is compiled when it first runs."""
    if chain not in _built:
        _built[chain] = Kernel(chain)
    return _built[chain]


def build_all(chains: Iterable[Chain]) -> list[Kernel]:
    """The chains' kernels, those that are new compiled now as one module, which takes less time than one by one."""
    kernels = [build(chain) for chain in dict.fromkeys(chains)]
    new = {f"chain{i}": kernel for i, kernel in enumerate(kernels) if kernel.function is None}
    if new:
        module = _module({name: kernel.chain for name, kernel in new.items()})
        for name, kernel in new.items():
            kernel.function = module.get_function(name)
    return kernels


class Kernel:
    """One pass over memory: `kernel(rows, n, *operands, *fresh results)`, rows of n elements; see `Chain`.

    Arrays are contiguous and have the chain's dtype, masks are bool; scalars are NumPy's of `scalar`, the type that is
    computed in. Beside the kinds of operand that a chain for the CPU has there is "element", an array of one number.
    """

    def __init__(self, chain: Chain):
        self.chain = chain
        self.scalar: type = np.float64 if chain.dtype == "float64" else np.float32
        self.vector = 16 // {"float64": 8, "float32": 4}.get(chain.dtype, 2)
        self.function: Callable | None = None  # what CuPy launches, once it is compiled

    def __call__(self, rows: int, n: int, *arguments: Any) -> None:
        if self.function is None:
            self.function = _module({"chain": self.chain}).get_function("chain")
        if rows == 1:
            grid, block = (min(-(-n // (THREADS * self.vector)), BLOCKS), 1), (THREADS, 1)
        else:
            grid, block = _grid(rows, n // self.vector if n % self.vector == 0 else n)
        self.function(grid, block, (np.int64(rows), np.int64(n), *arguments))


def _module(chains: dict[str, Chain]) -> Any:
    return cupy.RawModule(code=module_text(chains), options=OPTIONS, name_expressions=tuple(chains))


def module_text(chains: dict[str, Chain]) -> str:
    """The source of a kernel for each chain, under its name."""
    return "\n".join([source("elementwise.cuh"), *(text(chain, name) for name, chain in chains.items())])


def text(chain: Chain, name: str = "chain") -> str:
    """The chain's kernel: a struct of its operands, with the function of one vector, and the loop around it."""
    stored = TYPES[chain.dtype]
    computed = "double" if stored == "double" else "float"
    masks = _masks(chain)
    operands = [_Operand(i, kind, "bool" if i in masks else stored, i in chain.into)
                for i, kind in enumerate(chain.operands)]
    results = [("bool" if chain.lines[line][0] in BOOLEAN else stored, f"w{i}", f"p{at}" if at is not None else f"y{i}")
               for i, (line, at) in enumerate(zip(chain.results, chain.into))]
    fresh = [(kind, place) for kind, _, place in results if place.startswith("y")]
    members = [(o.member(computed), o.name) for o in operands] + [(f"{kind}*", place) for kind, place in fresh]
    names = ", ".join(name for _, name in members)
    return "\n".join([
        f"struct {name}_operands {{",
        f"    typedef {stored} T;",
        *(f"    {kind} {member};" for kind, member in members),
        "    template <int N> __device__ __forceinline__ void at(long long i, long long r, long long c) const {",
        *("        " + load for o in operands if (load := o.load(computed))),
        *(f"        vector<{kind}, N> {vector};" for kind, vector, _ in results),
        f"        [[maybe_unused]] constexpr {computed} ZERO = 0, ONE = 1;",
        "#pragma unroll",
        "        for (int j = 0; j < N; j++) {",
        *("            " + element for o in operands if (element := o.element(computed))),
        *("            " + line for line in _lines(chain, computed)),
        *(f"            {vector}[j] = t{line};" for line, (_, vector, _) in zip(chain.results, results)),
        "        }",
        *(f"        store({place} + i, {vector});" for _, vector, place in results),
        "    }",
        "};",
        f"__global__ void {name}(long long rows, long long n, " + ", ".join(f"{k} {m}" for k, m in members) + ") {",
        f"    each<16 / sizeof({stored})>({name}_operands{{{names}}}, rows, n, on_16_bytes(" +
        ", ".join(member for kind, member in members if kind.endswith("*")) + "));",
        "}", ""])


class _Operand:
    """How one operand is declared, loaded, and taken out of its vector."""

    def __init__(self, number: int, kind: str, stored: str, changed: bool):
        self.kind, self.stored, self.value, self.changed = kind, stored, f"x{number}", changed
        self.name = self.value if kind == "scalar" else f"p{number}"
        self.vector = f"v{number}"

    def member(self, computed: str) -> str:
        if self.kind == "scalar":
            return computed
        return f"{'' if self.changed else 'const '}{'unsigned char' if self.kind == 'bits' else self.stored}*"

    def load(self, computed: str) -> str:
        if self.kind in ("full", "row"):
            return f"const auto {self.vector} = load<N>({self.name} + {'i' if self.kind == 'full' else 'c'});"
        if self.kind == "bits":
            return f"const int {self.vector} = {self.name}[i / 8] >> i % 8;"
        place = {"column": "[r]", "element": "[0]"}.get(self.kind)
        return f"const {self._type(computed)} {self.value} = {self.name}{place};" if place else ""

    def element(self, computed: str) -> str:
        if self.kind in ("full", "row"):
            return f"const {self._type(computed)} {self.value} = {self.vector}[j];"
        return f"const bool {self.value} = {self.vector} >> j & 1;" if self.kind == "bits" else ""

    def _type(self, computed: str) -> str:
        return "bool" if self.stored == "bool" else computed


def _lines(chain: Chain, computed: str) -> list[str]:
    """The chain's lines as statements."""
    result = []
    for n, (name, references) in enumerate(chain.lines):
        before, value = translated(name)
        kind = "bool" if name in BOOLEAN else computed
        for statement in [*before, f"const {kind} t{{n}} = {value};"]:
            result.append(statement.format(*references, n=n))
    return result


@cache
def translated(operation: str) -> tuple[tuple[str, ...], str]:
    """An operation of fused.py in C: the statements before it, and its value, with {0}, {1}, ... for the operands.

    >>> translated("leaky_relu")
    ((), '({0} > ZERO ? {0} : ({0} * {1}))')
    >>> translated("gelu_dx")
    (('const auto [b{n}, d{n}] = _normal<T>({1});',), '({0} * (b{n} + ({1} * d{n})))')
    """
    before, value = [part.replace("{n}", "__n").replace("{", "__").replace("}", "") for part in OPERATIONS[operation]]
    statements = []
    for node in ast.parse(before).body:
        if not isinstance(node, ast.Assign):
            raise TypeError(f"{operation}: {ast.unparse(node)} is no assignment")
        target = node.targets[0]
        names = f"[{', '.join(map(_c, target.elts))}]" if isinstance(target, ast.Tuple) else _c(target)
        statements.append(f"const auto {names} = {_c(node.value)};")
    return tuple(statements), _c(ast.parse(value, mode="eval").body)


def _c(node: ast.expr) -> str:
    """A Python expression in C."""
    if isinstance(node, ast.Name):
        head, _, mark = node.id.partition("__")
        return f"{head}{{{mark}}}" if mark else head
    if isinstance(node, ast.BinOp):
        return f"({_c(node.left)} {_SIGNS[type(node.op)]} {_c(node.right)})"
    if isinstance(node, ast.UnaryOp):
        return f"{_SIGNS[type(node.op)]}{_c(node.operand)}"
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return f"{_c(node.left)} {_SIGNS[type(node.ops[0])]} {_c(node.comparators[0])}"
    if isinstance(node, ast.BoolOp):
        return f" {_SIGNS[type(node.op)]} ".join(map(_c, node.values))
    if isinstance(node, ast.IfExp):
        return f"({_c(node.test)} ? {_c(node.body)} : {_c(node.orelse)})"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        return f"{_NAMES.get(name, name + '<T>' * name.startswith('_'))}({', '.join(map(_c, node.args))})"
    raise TypeError(f"chain: {ast.unparse(node)} has no translation into C")


_SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.BitAnd: "&", ast.BitOr: "|", ast.USub: "-",
    ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!=", ast.And: "&&", ast.Or: "||"}
_NAMES = {"abs": "fabs"}


def _masks(chain: Chain) -> set[int]:
    """The operands that are bool."""
    names = [r for name, references in chain.lines for i, r in enumerate(references)
             if name in ("and", "or") or MASKS.get(name) == i]
    return {int(name[1:]) for name in names if name.startswith("x")}


def _grid(rows: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads for rows that `width` threads take one each: short rows share a block."""
    across = min(THREADS, 1 << max(width - 1, 0).bit_length())
    down = THREADS // across
    blocks = min(-(-width // across), BLOCKS)
    return (blocks, min(-(-rows // down), max(BLOCKS // blocks, 1))), (across, down)


_built: dict[Chain, Kernel] = {}
