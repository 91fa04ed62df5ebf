"""What `minitorch explain` prints, by its options."""
from __future__ import annotations

import ast
from argparse import Namespace
from typing import Any


def run(options: Namespace) -> None:
    """Print what was asked for. Raises ValueError, FileNotFoundError or ImportError with a line for the user."""
    from .listing import listing, show

    if options.registers is not None and (options.name or options.registers):
        from .registers import text_for

        print(text_for(options.name or "", options.registers))
        return
    if options.name is None:
        show(listing())
        return
    show(_asked(options))


def _asked(options: Namespace) -> str:
    given = _options(options.options)
    if options.asm is not None or options.llvm is not None:
        from .assembly import text_of_code

        return text_of_code(options.name, options.asm or options.llvm or "", options.dtype, options.version,
                            options.asm is None, options.shape, given)
    if options.measure:
        return _measured(options)
    if options.shape is not None:
        from .choices import choices

        found = choices(options.name, options.shape, options.dtype, options.device, given)
        return "\n\n".join(map(str, found)) or f"{options.name}: calls no kernel for these shapes"
    from .description import describe
    from .text import text_of

    return text_of(describe(options.name), options.source)


def _measured(options: Namespace) -> str:
    from . import crossovers
    from .description import describe

    found = [contest for kernel in describe(options.name).kernels for contest in crossovers.contests(kernel)]
    if not found:
        have = sorted({contest.kernel for contest in crossovers.CONTESTS})
        raise ValueError(f"no two versions of {options.name} compete by size; those of {', '.join(have)} do")
    texts = []
    for contest in found:
        lines = crossovers.measure(contest, options.dtype).lines()
        texts.append("\n".join([f"{contest.kernel}: {contest.slow_start} or {contest.challenger}", *lines]))
    return "\n\n".join(texts)


def _options(given: list[str]) -> dict[str, Any]:
    """`stride=2 mode=tanh` as keyword arguments; what is no Python literal is a text."""
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--with: expects NAME=VALUE, got {each!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found
