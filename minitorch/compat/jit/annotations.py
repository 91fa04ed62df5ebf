"""The names of types that old programs import from here to annotate what they script."""
from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035

from minitorch.errors import absent_from

BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = List  # noqa: UP006

__all__ = ["Any", "BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "List", "Optional", "Tuple",
           "Union"]
__getattr__ = absent_from("torch.jit.annotations", lambda: __all__)
