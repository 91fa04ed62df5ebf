"""`minitorch bench`: kernels, their versions and other libraries, checked, then timed turn about in one process."""
