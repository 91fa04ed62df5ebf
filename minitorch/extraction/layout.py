"""Long lines broken where people would break them."""
from __future__ import annotations

from collections.abc import Iterator

WIDTH = 100
BODY = WIDTH - 4  # of the lines of a function, before they are indented
WORDS = (" for ", " if ", " else ", " and ", " or ")
SIGNS = (" + ", " - ", " * ", " @ ", " / ")


def wrapped(line: str, width: int = WIDTH) -> Iterator[str]:
    """`line`, in several where it is longer than `width`: broken within the outermost bracket that helps, and aligned.

    >>> list(wrapped("y = f(" + ", ".join(["a" * 40] * 3) + ")"))[1][:10]
    '      aaaa'
    """
    open_at: tuple[int, ...] = ()  # the columns behind the brackets that are open where the line begins
    while len(line) > width:
        places = list(_places(line.partition("  # ")[0][:width], open_at))
        bracket = line.partition("  # ")[0][:width].rfind("(") + 1
        if not places and bracket:
            places = [(0.0, bracket, (bracket,))]
        late = [p for p in places if p[1] > width // 2] or places
        if not late:
            break
        _, i, inside = min(late, key=lambda p: (p[0], -p[1]))
        column = inside[-1]
        start = len(line) - len(line.lstrip())
        if column > start + width // 2 and len(line) - column > width - column:  # little room: begin after the bracket
            yield line[:column]
            line = " " * (start + 4) + line[column:].lstrip()
            open_at = (start + 4,)
            continue
        yield line[:i].rstrip()
        line = " " * column + line[i:].lstrip()
        open_at = inside
    yield line


def aligned(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Lines with their comments in one column."""
    width = max((len(code) for code, comment in lines if comment and len(code) < 72), default=0) + 2
    for code, comment in lines:
        yield from wrapped(f"{code:{width}}# {comment}" if comment and len(code) < width else
                           f"{code}  # {comment}" if comment else code, BODY)


def in_brackets(names: list[str]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


def unpacked(names: list[str]) -> list[str]:
    """The lines that give what was saved its names again."""
    line = f"{', '.join(names)}{',' * (len(names) == 1)} = saved"
    return [] if not names else [line] if len(line) <= BODY else list(wrapped(f"{in_brackets(names)} = saved", BODY))


def joined(head: str, doc: str, lines: list[str]) -> str:
    return "\n".join([head, f'    """{doc}"""', *(f"    {line}".rstrip() for line in lines)])


def _places(code: str, open_at: tuple[int, ...]) -> Iterator[tuple[float, int, tuple[int, ...]]]:
    """Where a line may be broken: (how much that tears apart, position, columns behind the open brackets)."""
    stack: list[int] = list(open_at)
    quote = ""
    start = len(code) - len(code.lstrip())
    for i, c in enumerate(code):
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
