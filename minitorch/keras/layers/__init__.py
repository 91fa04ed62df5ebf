"""Keras's layers."""
from typing import Any as _Any

from ...errors import absent_from as _absent_from
from ..serialization import deserialize as deserialize
from ..serialization import serialize as serialize
from ..symbolic import Input as Input
from . import attention, core, image, merging, normalization, recurrent
from .base import Layer as Layer

_AUGMENTATION = ("CenterCrop", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation",
                 "RandomTranslation", "RandomZoom", "Resizing")
_LOOKUP = ("CategoryEncoding", "Discretization", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization")
_INSTEAD = {
    **dict.fromkeys(_AUGMENTATION, "'torchvision.transforms', for the images before they go into fit"),
    **dict.fromkeys(_LOOKUP, "'keras.utils.to_categorical' and 'keras.utils.pad_sequences', for data before fit"),
    **dict.fromkeys(("RNN", "StackedRNNCells", "SimpleRNNCell"), "'SimpleRNN'"), "LSTMCell": "'LSTM'",
    "GRUCell": "'GRU'", "AdditiveAttention": "'Attention'", "GaussianDropout": "'GaussianNoise'",
    "Normalization": "'Rescaling' (scale, offset) or 'BatchNormalization'",
    "ActivityRegularization": "the argument activity_regularizer of every layer"}
_BASES = ("Merge", "Recurrent", "Spatial")
for _home in (attention, core, image, merging, normalization, recurrent):
    globals().update({name: value for name, value in vars(_home).items() if name[0] != "_" and name not in _BASES
                      and getattr(value, "__module__", None) == _home.__name__
                      and (name[0].isupper() or _home is merging)})


def __getattr__(name: str) -> _Any:
    return _absent(name)


_absent = _absent_from("keras.layers", lambda: globals(), _INSTEAD)
