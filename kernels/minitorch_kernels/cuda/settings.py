"""What the user allows the GPU's kernels to do; `minitorch.backends.cuda` and `.cudnn` set it."""

tf32_products = False  # matrix products of float32 may round their factors to 10 bits of mantissa, for tensor cores
tf32_convolutions = True  # the same for convolutions: allowed at first, as in PyTorch
