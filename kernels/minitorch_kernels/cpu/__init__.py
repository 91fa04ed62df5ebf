"""Numba kernels for the CPU. Importing a module of this folder imports Numba."""
