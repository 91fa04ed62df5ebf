"""What NumPy cannot spread over threads by itself at the price of a microsecond."""
from __future__ import annotations

from .tasks import task

PART = 1 << 16  # numbers in a part


def add_into(total, x):
    size = total.size
    _add_into(-(-size // PART), size, total.reshape(-1), x.reshape(-1))
    return total


@task
def _add_into(part, total, x):
    first, last = part * PART, (part + 1) * PART
    total, x = total[first:last], x[first:last]
    for i in range(total.size):
        total[i] += x[i]
