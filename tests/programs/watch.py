"""Run a program as it stands, seeded, noting its losses: watch.py HOW STEPS LOSSES PROGRAM ARGUMENTS...

Each value on which the program calls `backward()` becomes a line of the file LOSSES; after STEPS of them the
program is ended. `compare.py` runs this file under PyTorch and under `minitorch run`. HOW is one of
`plain`;
`double`: float64 is the default type;
`nudged`: the gradients that reach an optimizer are off by up to a millionth of their mean size, which is what
float32 leaves uncertain in them anyway: the losses then show what another rounding does to them.
"""
import os
import random
import runpy
import sys
from pathlib import Path

import numpy as np
import torch

NUDGE = 1e-6


def watch(losses, steps):
    """Make `Tensor.backward` note the values that it starts from; end the program after `steps`."""
    backward = torch.Tensor.backward
    noted = 0

    def noting(loss, *args, **kwargs):
        nonlocal noted
        value = float(loss.detach().double().sum())
        backward(loss, *args, **kwargs)
        print(repr(value), file=losses, flush=True)
        noted += 1
        if noted == steps:
            raise SystemExit(0)

    torch.Tensor.backward = noting


def nudge_gradients():
    """Make every optimizer's step start from gradients that are a little off."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    generator = torch.Generator().manual_seed(0)  # the program's own random numbers stay as they are

    def nudging(optimizer, *_):
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    noise = torch.rand(p.grad.shape, generator=generator).to(p.grad).mul_(2).sub_(1)
                    p.grad.add_(NUDGE * noise * p.grad.abs().mean() * (p.grad != 0))

    register_optimizer_step_pre_hook(nudging)


def main():
    how, steps, path, program, *arguments = sys.argv[1:]
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    if how == "double":
        torch.set_default_dtype(torch.float64)
    if how == "nudged":
        nudge_gradients()
    if "TRUST_CIFAR" in os.environ:  # a copy that was packed anew has other checksums than the published one
        from torchvision.datasets import cifar

        cifar.check_integrity = lambda *_: True
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).resolve().parent)
    with open(path, "w") as losses:
        watch(losses, int(steps))
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
