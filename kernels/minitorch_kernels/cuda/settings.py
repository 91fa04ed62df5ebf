"""What the user allows the GPU's kernels to do; `minitorch.backends.cuda` sets it."""

tf32_products = False  # matrix products of float32 may round their factors to 10 bits of mantissa, for tensor cores
