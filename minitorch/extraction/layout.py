"""Long lines broken where people would break them."""
from __future__ import annotations

from collections.abc import Iterator

WIDTH = 108
WORDS = (" for ", " if ", " else ", " and ", " or ")
SIGNS = (" + ", " - ", " * ", " @ ", " / ")


def wrapped(line: str) -> Iterator[str]:
    """`line`, in several where it is longer than WIDTH: broken within the outermost bracket that helps, and aligned.

    >>> list(wrapped("y = f(" + ", ".join(["a" * 40] * 3) + ")"))[1][:10]
    '      aaaa'
    """
    open_at: tuple[int, ...] = ()  # the columns behind the brackets that are open where the line begins
    while len(line) > WIDTH:
        places = list(_places(line.partition("  # ")[0], open_at))
        late = [p for p in places if p[1] > WIDTH // 2] or places
        if not late:
            break
        _, i, inside = min(late, key=lambda p: (p[0], -p[1]))
        column = inside[-1]
        start = len(line) - len(line.lstrip())
        if column > start + WIDTH // 2 and len(line) - column > WIDTH - column:  # little room: begin after the bracket
            yield line[:column]
            line = " " * (start + 4) + line[column:].lstrip()
            open_at = (start + 4,)
            continue
        yield line[:i].rstrip()
        line = " " * column + line[i:].lstrip()
        open_at = inside
    yield line


def _places(code: str, open_at: tuple[int, ...]) -> Iterator[tuple[float, int, tuple[int, ...]]]:
    """Where a line may be broken: (how much that tears apart, position, columns behind the open brackets)."""
    stack: list[int] = list(open_at)
    quote = ""
    start = len(code) - len(code.lstrip())
    for i, c in enumerate(code[:WIDTH]):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in "([{":
            stack.append(i + 1)
        elif c in ")]}" and stack:
            stack.pop()
        elif c == " " and stack and i > start:
            before = code[i - 1] == ","
            word, sign = (any(code.startswith(w, i) for w in some) for some in (WORDS, SIGNS))
            loop = before and " for " in code[stack[-1]:i] and " in " not in code[stack[-1]:i].rpartition(" for ")[2]
            if (before or word or sign) and not loop:
                yield len(stack) + (0.0 if before or word else 0.5), i, tuple(stack)
