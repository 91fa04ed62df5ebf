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
    _bench(commands)
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
    p.add_argument("--only", default="", metavar="NAME", help="just the ops whose name contains NAME")

    def call(options):
        from .selfcheck import run

        return 0 if run(device=options.device, verbose=options.verbose, only=options.only) else 1

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
    p = commands.add_parser("explain", help="an op's formula, gradient, kernels, tests and places",
                            formatter_class=argparse.RawDescriptionHelpFormatter, epilog="""examples:
  minitorch explain softmax                              its formula, gradient, kernels, tests and places
  minitorch explain conv2d --shape 8x3x32x32 16x3x3x3    which version of each kernel runs, and why
  minitorch explain nn.Linear --shape 32x784 --with in_features=784 out_features=100
  minitorch explain matmul --measure                     BLAS or Numba: where they cross on this machine
  minitorch explain k.softmax_dx --asm                   what Numba made of a kernel""")
    p.add_argument("name", nargs="?", help="an op, function, method, layer (nn.Linear), optimizer (adam) or kernel "
                                           "(conv2d_dx, k.softmax); without one, all names")
    p.add_argument("--shape", nargs="+", metavar="SHAPE",
                   help="which version runs for tensors of these shapes: 8x3x32x32, scalar, 8:int64")
    p.add_argument("--with", nargs="+", dest="options", metavar="NAME=VALUE", default=[],
                   help="other arguments of that call")
    p.add_argument("--dtype", default="float32", help="of these tensors, or of the code (default: %(default)s)")
    p.add_argument("--device", default="cpu", help="cpu or cuda: where that call runs")
    p.add_argument("--source", action="store_true", help="with the code of references, versions and predicates")
    p.add_argument("--measure", action="store_true", help="measure the crossovers between versions now, and keep them")
    p.add_argument("--asm", nargs="?", const="", metavar="FUNCTION",
                   help="the assembly that Numba generates: counts and the inner loop, or all of FUNCTION")
    p.add_argument("--llvm", nargs="?", const="", metavar="FUNCTION", help="the same in LLVM's language")
    p.add_argument("--version", default="", help="the version whose code --asm and --llvm show")
    p.add_argument("--registers", nargs="?", const="", metavar="FILE.cu",
                   help="registers and spills of its CUDA kernels, or of those in a file")

    def call(options):
        from .explanation.command import run

        run(options)

    p.set_defaults(call=call)


def _bench(commands: argparse._SubParsersAction) -> None:
    # What follows is parsed by the benchmarks, which are a package of their own: here nothing is an option.
    p = commands.add_parser("bench", help="measure kernels, their versions and other libraries", add_help=False,
                            prefix_chars="\0")
    p.add_argument("arguments", nargs="*")

    def call(options):
        from importlib import import_module

        from .shipped import shipped

        return import_module(f"{shipped('bench', 'benchmarks').__name__}.command").main(options.arguments)

    p.set_defaults(call=call)


if __name__ == "__main__":
    sys.exit(main())
