"""Keras's older helpers for texts, sequences and images."""
from . import image as image
from . import sequence as sequence
from . import text as text
