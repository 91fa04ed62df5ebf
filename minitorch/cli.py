"""The `minitorch` command."""
from __future__ import annotations

import argparse
import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status. `minitorch --help` lists the commands."""
    parser = argparse.ArgumentParser(prog="minitorch", description="A neural-network framework you can read.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _train(commands)
    _run(commands)
    _selfcheck(commands)
    _warmup(commands)
    _explain(commands)
    options = parser.parse_args(arguments)
    try:
        return options.call(options) or 0
    except (FileNotFoundError, RuntimeError, ValueError, ImportError) as error:
        if options.command == "run":
            raise  # the program's own error, with its traceback
        print(f"minitorch {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _train(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("train", help="train a convolutional network on real images")
    p.add_argument("--data", choices=("digits", "mnist", "cifar10"), default="digits",
                   help="digits comes with the package (default)")
    p.add_argument("--root", default="data", help="where the files of mnist or cifar10 lie (default: %(default)s)")
    p.add_argument("--epochs", type=int, help="passes over the training images (default: 10; digits 30)")
    p.add_argument("--batch-size", type=int, default=100)
    p.add_argument("--lr", type=float, default=1e-3, help="Adam's learning rate (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--checkpoint", help="file to write (default: minitorch-DATA.pt)")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    p.add_argument("--history", help="write the figures of each epoch to this JSON file")
    p.add_argument("--stop-after", type=int, metavar="STEPS", help="save and stop after so many steps")

    def call(options):
        from .train import train

        train(options.data, root=options.root, epochs=options.epochs, batch_size=options.batch_size, lr=options.lr,
              seed=options.seed, device=options.device, checkpoint=options.checkpoint, resume=options.resume,
              history_file=options.history, stop_after=options.stop_after)

    p.set_defaults(call=call)


def _run(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("run", help="run a PyTorch program on minitorch")
    p.add_argument("-m", dest="module", action="store_true", help="the program is a module's name, as for python -m")
    p.add_argument("program")
    p.add_argument("arguments", nargs=argparse.REMAINDER)

    def call(options):
        from .run import run_file, run_module

        if options.module:
            run_module(options.program, options.arguments)
            return
        if not os.path.isfile(options.program):
            p.error(f"there is no file {options.program!r}")
        run_file(options.program, options.arguments)

    p.set_defaults(call=call)


def _selfcheck(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("selfcheck", help="prove every op's values and gradients on this machine")
    p.add_argument("--device", default="cpu")
    p.add_argument("--verbose", action="store_true", help="a line for each sample")

    def call(options):
        from .selfcheck import run

        return 0 if run(device=options.device, verbose=options.verbose) else 1

    p.set_defaults(call=call)


def _warmup(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("warmup", help="compile the CPU's kernels now, into the cache on disk")
    p.add_argument("families", nargs="*", help="conv, norm, optim, ...; all where none is named")
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32")

    def call(options):
        from .warmup import warm_up

        warm_up(tuple(options.families), options.dtype)

    p.set_defaults(call=call)


def _explain(commands: argparse._SubParsersAction) -> None:
    p = commands.add_parser("explain", help="the versions of a kernel, and which runs")
    p.add_argument("kernel", nargs="?", help="a kernel's name; without one, all names")
    p.add_argument("--device", default="cpu")

    def call(options):
        from minitorch_kernels import explain, names

        print(explain(options.kernel, device=options.device) if options.kernel else "\n".join(names()))

    p.set_defaults(call=call)


if __name__ == "__main__":
    sys.exit(main())
