"""The entries that are programs: written once in PyTorch's API, run in both frameworks.

Such a call does more than one kernel: a step of an optimizer, attention, recurrent layers, forward and backward.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from minitorch_kernels.costs import CURVED

from .cases import IMAGES, LENGTHS, LOGITS, WIDTHS, Case, Entry, written


def optimizer(name: str, shapes: list[tuple], **options: Any) -> Callable:
    """A program: a step for parameters of these shapes. PyTorch's fused step is its fastest."""

    def program(torch: Any, *arrays: Any) -> Callable:
        half = len(arrays) // 2
        parameters = [torch.nn.Parameter(a.clone()) for a in arrays[:half]]
        for p, g in zip(parameters, arrays[half:]):
            p.grad = g
        step = getattr(torch.optim, name)(parameters, lr=1e-3, **options).step

        def run() -> list:
            step()
            return parameters

        return run

    return program


def optimizers() -> Iterator[Entry]:
    """One large parameter, fc1 of seed 002 5.2, and ResNet-20's many small ones."""
    small = [shape for width, layers in ((16, 7), (32, 6), (64, 6)) for shape in [(width, width, 3, 3)] * layers
             + [(width,)] * (2 * layers + 2)]
    kinds: list[tuple[str, str, int, int, dict]] = [
            ("sgd_steps", "SGD", 1, 4, {"momentum": 0.9, "fused": True}),
            ("adam_steps", "Adam", 2, 12, {"fused": True}), ("adam_steps", "AdamW", 2, 14, {"fused": True}),
            ("adagrad_steps", "Adagrad", 1, 6, {}), ("rmsprop_steps", "RMSprop", 1, 7, {})]
    for kernel, name, states, flops, options in kinds:
        def case(shapes: list[tuple], title: str, name: str = name, states: int = states, flops: int = flops,
                 options: dict = options) -> Case:
            count = sum(map(math.prod, shapes))
            return Case(lambda r: (*(r(*a) for a in shapes), *(r(*a) for a in shapes)),
                        program=optimizer(name, shapes, **options), flops=flops * count,
                        numbers=count * (3 + 2 * states), pattern="update", label=f"{name}, {title}", changes=True)

        yield Entry("optim", kernel, lambda *s, case=case: case([s], written(s)), "AxBx...", [(256, 25088)],
                    lambda n: (n,), LENGTHS, (1,), task=name)
        yield Entry("optim", kernel, lambda *_, case=case: case(small, f"{len(small)} of ResNet-20"), "", [()],
                    lambda n: (), (), (), task=name, variant=True)


def dropout(backward: bool) -> Callable:
    def program(torch: Any, x: Any, dy: Any) -> Callable:
        x.requires_grad_(backward)

        def run() -> Any:
            torch.manual_seed(0)  # each call the same, to be compared
            y = torch.nn.functional.dropout(x, 0.5, True)
            return torch.autograd.grad(y, [x], dy) if backward else y

        return run

    return program


def dropouts() -> Iterator[Entry]:
    for backward, title in ((False, "with its random numbers"), (True, "forward and backward")):
        def make(*s: int, backward: bool = backward, title: str = title) -> Case:
            size = math.prod(s)
            return Case(lambda r: (r(*s), r(*s)), program=dropout(backward), flops=(4 if backward else 2) * size,
                        numbers=(4 if backward else 2) * size, label=f"{written(s)}, {title}")

        yield Entry("dropout", "dropout", make, "AxBx...", [IMAGES], lambda n: (n,), LENGTHS, (1,),
                    task="dropout_backward" if backward else "")


def attention(backward: bool) -> Callable:
    """A program: q, k and v lie in memory as (batch, time, head, width), as a linear layer leaves them."""

    def program(torch: Any, *arrays: Any) -> Callable:
        q, k, v, dy = (a.requires_grad_(backward) for a in arrays)

        def run() -> Any:
            heads = [a.transpose(1, 2) for a in (q, k, v)]
            y = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2)
            return torch.autograd.grad(y, [q, k, v], dy) if backward else y

        return run

    return program


def attentions() -> Iterator[Entry]:
    for backward in (False, True):
        def make(batch: int, time: int, heads: int, width: int, backward: bool = backward) -> Case:
            shape = (batch, time, heads, width)
            flops = 2 * batch * heads * time * time * width  # half of the products: causal
            return Case(lambda r: tuple(r(*shape) for _ in range(4)), program=attention(backward),
                        flops=flops * (3.5 if backward else 1), numbers=math.prod(shape) * (9 if backward else 4),
                        label=f"{written(shape)}, causal" + ", forward and backward" * backward)

        yield Entry("attention", "attention_backward" if backward else "attention", make, "BATCHxTIMExHEADSxWIDTH",
                    [(8, 256, 8, 32), (4, 1024, 12, 64)], lambda n: (1, n, 8, 64), (32, 64, 128, 256, 512, 1024),
                    (1, 1, 1, 1))


def recurrent(layer: str, backward: bool) -> Callable:
    def program(torch: Any, x: Any, dy: Any) -> Callable:
        torch.manual_seed(0)
        net = getattr(torch.nn, layer)(x.shape[2], dy.shape[2], batch_first=True).to(x.device, x.dtype)
        x.requires_grad_(backward)
        wanted = [x, *net.parameters()]

        def run() -> Any:
            if backward:
                return torch.autograd.grad(net(x)[0], wanted, dy)
            with torch.no_grad():
                return net(x)[0]

        return run

    return program


def recurrences() -> Iterator[Entry]:
    for layer, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
        for backward in (False, True):
            def make(batch: int, time: int, inputs: int, units: int, layer: str = layer, gates: int = gates,
                     backward: bool = backward) -> Case:
                flops = 2 * batch * time * gates * units * (inputs + units)
                numbers = batch * time * (inputs + units) + gates * units * (inputs + units)
                return Case(lambda r: (r(batch, time, inputs), r(batch, time, units)),
                            program=recurrent(layer, backward), flops=flops * (3 if backward else 1), numbers=numbers,
                            label=f"{layer}, {batch}x{time}x{inputs} to {units}" + ", forward and backward" * backward,
                            tolerance=1e-3)

            yield Entry("recurrent", "recurrent_backward" if backward else "recurrent", make,
                        "BATCHxTIMExINPUTSxUNITS", [(16, 64, 256, 512)], lambda n: (16, 64, n, n),
                        (32, 64, 128, 256, 512), (1, 1, 1, 1), task=layer)


def losses() -> Iterator[Entry]:
    """Cross-entropy and its gradient."""
    def both(torch: Any, x: Any, target: Any) -> Callable:
        x.requires_grad_()
        return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(x, target), [x])

    yield Entry("loss", "cross_entropy_dx",
                lambda n, c: Case(lambda r: (r(n, c), r.below(c, n)), program=both, flops=(CURVED + 5) * n * c,
                                  numbers=2 * n * c, label=f"{n}x{c}, forward and backward"),
                "ROWSxCLASSES", [LOGITS], lambda n: (256, n), WIDTHS, (1, 1))
