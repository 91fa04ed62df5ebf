"""`widest()`: the loops of a kernel that calls it use the widest vector registers of the CPU."""
from __future__ import annotations

from numba import types
from numba.extending import intrinsic


@intrinsic
def widest(typingctx):
    """LLVM takes half of AVX-512's registers by itself, a rule made for CPUs that slowed down when all was in use.

    Loops that compute more than they read and write gain a quarter from all of it; elsewhere this does nothing.
    """

    def codegen(context, builder, signature, arguments):
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # `add` of the class knows others alone
        return context.get_dummy_value()

    return types.void(), codegen
