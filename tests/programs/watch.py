"""Run a program as it stands, seeded, and write its losses down: watch.py LOSSES STEPS NUDGE PROGRAM ARGUMENTS...

Each value on which the program calls `backward()` becomes a line of the file LOSSES; after STEPS of them the program
is ended. `compare.py` runs this file under PyTorch and under `minitorch run`. With a NUDGE other than 0 the gradients that
reach an optimizer are off by at most that fraction of their usual size: 1e-7 shows what another rounding of the same
numbers does to the losses.
"""
import os
import random
import runpy
import sys
from pathlib import Path

import numpy as np
import torch


def watch(losses, steps):
    """Make `Tensor.backward` note the values that it starts from, and end the program after `steps` of them."""
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


def shake(nudge):
    """Make every optimizer's step start from gradients whose numbers are off by up to `nudge` of their mean size."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    generator = torch.Generator().manual_seed(0)  # the program's own random numbers stay as they are

    def shaking(optimizer, *_):
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    noise = torch.rand(p.grad.shape, generator=generator).to(p.grad).mul_(2).sub_(1)
                    p.grad.add_(nudge * noise * p.grad.abs().mean() * (p.grad != 0))

    register_optimizer_step_pre_hook(shaking)


def main():
    path, steps, nudge, program, *arguments = sys.argv[1:]
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    if "TRUST_CIFAR" in os.environ:  # a copy of the set that is packed anew has other checksums than the published one
        from torchvision.datasets import cifar

        cifar.check_integrity = lambda *_: True
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).resolve().parent)
    if float(nudge):
        shake(float(nudge))
    with open(path, "w") as losses:
        watch(losses, int(steps))
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
