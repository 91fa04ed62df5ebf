"""The figures of the core: the cost of one op and of one small step, of import, of a first step, and memory over time.

    python benchmarks/core.py                 all of them
    python benchmarks/core.py ops mlp         some of them: ops, mlp, import, first-step, memory

ops and mlp run beside PyTorch where it is installed (pip install torch==2.13.0), turn about in this process, and
print the medians, their ratio and its quartiles. The results go to benchmarks/results/core.json.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import turnabout

ROUNDS = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[[], *BENCHMARKS])
    parser.add_argument("--json", default=str(Path(__file__).parent / "results" / "core.json"))
    options = parser.parse_args()
    path = Path(options.json)
    results = json.loads(path.read_text()) if path.exists() else {}
    results["machine"] = turnabout.machine()
    for name in options.which or BENCHMARKS:
        results[name] = BENCHMARKS[name]()
        for line, value in results[name].items():
            print(f"{name:12} {line:45} {value}")
    path.write_text(json.dumps(results, indent=1) + "\n")


def ops() -> dict[str, Any]:
    """Microseconds a link of a chain of tanh(y * 1.01) on 32x32, forward and backward: the slope over its length."""
    def chain(module) -> Callable[[], float]:
        x = module.randn(32, 32, requires_grad=True)

        def once(length: int) -> float:
            start = time.perf_counter()
            y = x
            for _ in range(length):
                y = module.tanh(y * 1.01)
            y.sum().backward()
            return time.perf_counter() - start

        def slope() -> float:
            short = statistics.median(once(50) for _ in range(15))
            return (statistics.median(once(250) for _ in range(15)) - short) / 200 * 1e6

        return slope

    return _beside_torch(chain, "us a link")


def mlp() -> dict[str, Any]:
    """Microseconds a training step of an MLP 64-32-10, batch 32, SGD."""
    def stepper(module) -> Callable[[], float]:
        nn = module.nn
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = module.optim.SGD(model.parameters(), lr=0.1)
        criterion = nn.CrossEntropyLoss()
        x, target = module.randn(32, 64), module.randint(0, 10, (32,))

        def step() -> None:
            optimizer.zero_grad()
            criterion(model(x), target).backward()
            optimizer.step()

        def median() -> float:
            times = []
            for _ in range(300):
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
            return statistics.median(times) * 1e6

        return median

    return _beside_torch(stepper, "us a step")


def import_time() -> dict[str, Any]:
    """Milliseconds that `import minitorch` takes beyond `import numpy`, in new processes."""
    def child(statement: str) -> float:
        code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    child("import minitorch")  # writes the bytecode
    pairs = [(child("import numpy"), child("import minitorch")) for _ in range(15)]
    numpy, ours = (statistics.median(p[i] for p in pairs) * 1e3 for i in (0, 1))
    return {"numpy (ms)": round(numpy, 1), "minitorch (ms)": round(ours, 1), "difference (ms)": round(ours - numpy, 1)}


def first_step() -> dict[str, Any]:
    """Seconds to the end of the first training step of the CIFAR-10 network, batch 100: nothing compiled, and later."""
    code = ("import time; t = time.perf_counter()\n"
            "import minitorch as mt\nfrom minitorch.train import CifarNet\n"
            "model = CifarNet(); optimizer = mt.optim.Adam(model.parameters())\n"
            "x, y = mt.randn(100, 3, 32, 32), mt.randint(0, 10, (100,))\n"
            "t0 = time.perf_counter()\n"
            "mt.nn.functional.cross_entropy(model(x), y).backward(); optimizer.step()\n"
            "print(time.perf_counter() - t0, time.perf_counter() - t)")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}

        def child() -> list[float]:
            out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                                 env=environment).stdout
            return [float(word) for word in out.split()]

        cold, warm = child(), min(child() for _ in range(3))
    return {"cold: the step (s)": round(cold[0], 2), "cold: with imports and data (s)": round(cold[1], 2),
            "warm: the step (s)": round(warm[0], 2), "warm: with imports and data (s)": round(warm[1], 2)}


def memory(steps: int = 10_000) -> dict[str, Any]:
    """Resident MiB after 500 and after 10,000 steps of a small convolutional network."""
    import minitorch as mt
    from minitorch.train import DigitsNet

    model = DigitsNet(16)
    optimizer = mt.optim.Adam(model.parameters())
    x, y = mt.randn(32, 1, 16, 16), mt.randint(0, 10, (32,))
    sizes = {}
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        mt.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step in (500, steps):
            sizes[step] = turnabout.resident()
    growth = 100 * (sizes[steps] / sizes[500] - 1)
    return {"at step 500 (MiB)": round(sizes[500], 1), f"at step {steps} (MiB)": round(sizes[steps], 1),
            "growth (%)": round(growth, 2)}


BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "ops": ops, "mlp": mlp, "import": import_time, "first-step": first_step, "memory": memory}


def _beside_torch(make: Callable, unit: str) -> dict[str, Any]:
    """Measure `make(module)` for minitorch and PyTorch turn about."""
    modules = turnabout.frameworks()
    measures = {name: make(module) for name, module in modules.items()}
    for measure in measures.values():
        measure()
    figures = turnabout.take_turns(measures, turns=ROUNDS)
    result: dict[str, Any] = {f"{name} ({unit})": round(statistics.median(f), 2) for name, f in figures.items()}
    if "torch" in figures:
        found = turnabout.ratio(figures["minitorch"], figures["torch"])
        result["ratio minitorch / torch"], result["ratio, quartiles"] = found["ratio"], found["quartiles"]
        result["torch version"] = modules["torch"].__version__
    return result


if __name__ == "__main__":
    main()
