"""How samples become batches: `minitorch.utils.data.collate` under PyTorch's names."""
import re

from minitorch.utils.data import collate as _collate
from minitorch.utils.data.collate import collate, default_collate, default_collate_fn_map, default_convert

__all__ = ["collate", "collate_float_fn", "collate_int_fn", "collate_numpy_array_fn", "collate_numpy_scalar_fn",
           "collate_str_fn", "collate_tensor_fn", "default_collate", "default_collate_err_msg_format",
           "default_collate_fn_map", "default_convert", "np_str_obj_array_pattern"]

collate_tensor_fn = _collate._collate_tensors
collate_numpy_array_fn = _collate._collate_arrays
collate_numpy_scalar_fn = _collate._collate_scalars
collate_float_fn = _collate._collate_floats
collate_int_fn = _collate._collate_ints
collate_str_fn = _collate._keep
np_str_obj_array_pattern = re.compile("[SaUO]")  # the kinds of arrays that no tensor can hold
default_collate_err_msg_format = "default_collate: expects tensors, numpy arrays, numbers, dicts or lists; found {}"
