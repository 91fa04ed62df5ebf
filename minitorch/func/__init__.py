"""Transforms of functions: gradients, Jacobians and batches of them, composable with each other, under PyTorch's names.

`derivatives.py` differentiates: a transform runs the function on its own view of the inputs, and carries gradients
back to those alone. `batched.py` is `vmap`: tensors that hide an axis, and `rules.py` says how each op treats it.
`state.py` turns modules into functions of their parameters.

>>> import minitorch as torch
>>> from minitorch.func import grad, vmap
>>> vmap(grad(torch.sin))(torch.tensor([0.0, torch.pi]))
tensor([ 1., -1.])
"""
from ..errors import absent_from
from .batched import vmap
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .state import functional_call, functionalize, stack_module_state

__all__ = ["functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "stack_module_state", "vjp", "vmap"]

__getattr__ = absent_from(__name__, lambda: __all__)
