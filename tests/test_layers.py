"""The layering: imports go to the left only, only kernels know Numba, and importing minitorch stays light."""
from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "minitorch").rglob("*.py"), *(ROOT / "kernels" / "minitorch_kernels").rglob("*.py")])

COMPILED = ("minitorch_kernels.cpu", "minitorch_kernels.ladder.")

# Layer: the first parts of the modules in it. A module imports from its own layer and those to the left, at its top;
# within functions, where the import is late on purpose, to the right too.
LAYERS = [
    ["minitorch_kernels"],
    ["errors", "shapes", "dtypes", "limits", "quiet", "return_types", "roots"],
    ["device"],
    ["engine", "modes"],
    ["tensor"],
    ["inplace", "casting", "meta"],
    ["function", "op", "gradcheck", "autograd", "graph_names", "lifted", "nodes"],
    ["ops", "attributes", "convert", "layouts", "legacy", "printing", "storage"],
    ["nn"],
    ["optim", "utils", "vision", "metrics", "linalg", "cuda", "random", "serialization", "selfcheck", "warmup"],
    ["train", "run", "cli", "__main__"],
]


def module_of(path):
    base = ROOT if (ROOT / "minitorch") in path.parents else ROOT / "kernels"
    parts = [part for part in path.relative_to(base).with_suffix("").parts if part != "compat"]  # on the package's path
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module):
    """The number of the layer; the package itself, which gathers everything, and the examples are rightmost."""
    parts = module.split(".")
    if parts[0] == "minitorch_kernels":
        return 0
    if len(parts) == 1 or parts[1] == "examples":
        return len(LAYERS)
    return next((i for i, names in enumerate(LAYERS) if parts[1] in names), len(LAYERS) - 2)


def imports(path, top_only):
    """(line, module) for what a file imports, but in `if TYPE_CHECKING` and, with `top_only`, within functions."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    pending = list(ast.parse(path.read_text("utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[:len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}" if (module in ("minitorch", "") or not node.module)
                         else module) for alias in node.names)
        elif top_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_to_the_left(path):
    own = layer_of(module_of(path))
    for line, module in imports(path, top_only=True):
        if module.partition(".")[0] in ("minitorch", "minitorch_kernels"):
            assert layer_of(module) <= own, f"{path.name}:{line} imports {module}, which is to its right"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_who_imports_what(path):
    module = module_of(path)
    for line, imported in imports(path, top_only=False):
        name = imported.partition(".")[0]
        where = f"{path.name}:{line}"
        if name in ("numba", "llvmlite"):
            assert module.startswith(COMPILED), f"{where}: Numba is for {' and '.join(COMPILED)} alone"
        if name == "cupy":
            assert module.startswith("minitorch_kernels") or module == "minitorch.device", f"{where}: CuPy here"
        assert name != "torch", f"{where}: imports torch"
        assert name not in ("samples", "minitorch_samples") or module == "minitorch.selfcheck", where
        if module.startswith("minitorch_kernels"):
            assert name != "minitorch", f"{where}: kernels know nothing of tensors"
    for line, imported in imports(path, top_only=True):
        name = imported.partition(".")[0]
        if name == "cupy" and module.startswith("minitorch_kernels.cuda."):
            continue  # launchers, which are imported where there are CuPy's arrays
        if not module.startswith(COMPILED) and not module.startswith("minitorch.examples"):
            assert name in {*sys.stdlib_module_names, "numpy", "minitorch", "minitorch_kernels"}, \
                f"{path.name}:{line} imports {imported} at its top: import it where it is used"


def test_import_is_light(run_python):
    loaded = json.loads(run_python("import minitorch, sys, json; print(json.dumps(sorted(sys.modules)))"))
    heavy = {"numba", "llvmlite", "cupy", "scipy", "PIL", "tqdm", "safetensors", "torch", "matplotlib", "pandas",
             "ml_dtypes", "multiprocessing", "unittest", "asyncio", "urllib.request", "sqlite3", "hypothesis"}
    assert not heavy & set(loaded)


def test_import_is_quick(run_python, tmp_path):
    """50 ms of processor time above NumPy's import at most; on slow machines a share of NumPy's. From bytecode."""
    program = ("import time; t = time.process_time(); import numpy; u = time.process_time(); import minitorch; "
               "print(u - t, time.process_time() - u)")
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    runs = [[float(word) for word in run_python(program, **variables).split()] for _ in range(5)]
    theirs, ours = (min(times) for times in zip(*runs))
    assert ours < max(0.05, 0.6 * theirs)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path.name} has no docstring"
