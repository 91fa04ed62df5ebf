"""Sequences of different lengths."""
from ...errors import absent_from
from ..utils import pad_sequences as pad_sequences

__getattr__ = absent_from("keras.preprocessing.sequence", lambda: globals())
