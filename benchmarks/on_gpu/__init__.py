"""The parts of gpu.py: contests timed by CUDA events, the kernels, and whole training steps."""
