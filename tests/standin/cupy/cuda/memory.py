"""cupy.cuda.memory."""
from .._errors import OutOfMemoryError
from .._memory import MemoryPointer, MemoryPool, UnownedMemory, alloc, get_allocator, set_allocator, using_allocator
