"""The GPU's kernels: CUDA C in `<family>.cu`, its launchers in `<family>.py`, compiled when first used (build.py)."""
