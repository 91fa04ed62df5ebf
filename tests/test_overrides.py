"""`__torch_function__`: of Tensor subclasses, of classes that are no tensors, of modes."""
from __future__ import annotations

import pytest

import minitorch
import minitorch.nn.functional
from minitorch import overrides


@pytest.fixture(params=["minitorch", "torch"])
def torch(request):
    """The package under test, and PyTorch: the same assertions hold of both."""
    return pytest.importorskip("torch") if request.param == "torch" else minitorch


def kinds(*values):
    return [type(v).__name__ for v in values]


def test_results_keep_the_subclass(torch):
    class Sub(torch.Tensor):
        pass

    x, plain = torch.tensor([1.0, 2.0, 3.0]).as_subclass(Sub), torch.ones(3)
    F = torch.nn.functional
    results = [x + 1, 1 - x, plain + x, torch.add(plain, x), x.sum(), x.view(3, 1), x[0], x.detach(), x.data,
               x.max(0).values, x.split(1)[0], torch.stack([plain, x]), F.softmax(x, 0), F.relu(x), x > 1,
               x.to(torch.float64), torch.zeros_like(x), F.cross_entropy(x, torch.tensor(1)), Sub([1.0]),
               torch.nn.Linear(3, 1)(x), torch.Tensor._make_subclass(Sub, plain, True)]
    assert set(kinds(*results)) == {"Sub"}
    assert kinds(plain + 1, torch.nn.Parameter(plain) * 2) == ["Tensor", "Tensor"]
    with torch._C.DisableTorchFunctionSubclass():
        assert kinds(x + 1) == ["Tensor"]
    x += 1
    assert kinds(x) == ["Sub"]
    assert x.tolist() == [2.0, 3.0, 4.0]


def test_subclasses_differentiate(torch):
    class Sub(torch.Tensor):
        pass

    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (leaf.as_subclass(Sub) ** 2).sum()
    y.backward()
    assert kinds(y, leaf.grad) == ["Sub", "Tensor"]
    assert leaf.grad.tolist() == [2.0, 4.0]
    own = Sub([3.0]).requires_grad_()
    (own * own).backward()
    assert own.grad.tolist() == [6.0]


def test_a_class_sees_functions_and_methods(torch):
    seen = []

    class Named(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func.__name__)
            result = super().__torch_function__(func, types, args, kwargs)
            if isinstance(result, Named):
                result.label = next(a.label for a in args if isinstance(a, Named))
            return result

    x = torch.ones(2).as_subclass(Named)
    x.label = "x"
    seen.clear()
    y = torch.relu(x) * 2
    x.add_(1)
    torch.nn.functional.dropout(x, 0.5, False)
    x.mean()
    x.std()
    torch.logsumexp(x, 0)
    assert y.label == "x"
    assert seen == ["relu", "mul", "add_", "dropout", "mean", "std", "logsumexp"]


def diagonal(torch):
    """A class that is no tensor, which stands for v times a unit matrix, and its table of functions."""
    table = {}

    class Diagonal:
        def __init__(self, v):
            self.v = v

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func not in table or not all(issubclass(t, (torch.Tensor, cls)) for t in types):
                return NotImplemented
            return table[func](*args, **(kwargs or {}))

    return Diagonal, table


def test_objects_that_are_no_tensors(torch):
    Diagonal, table = diagonal(torch)
    table[torch.mean] = lambda d: d.v / 2
    table[torch.add] = lambda a, b: (getattr(a, "v", None), getattr(b, "v", None))
    table[torch.cat] = lambda tensors, dim=0: (len(tensors), dim)
    d, x = Diagonal(4.0), torch.ones(2)
    assert torch.mean(d) == 2.0
    assert torch.add(d, d) == (4.0, 4.0)
    assert torch.add(x, d) == (None, 4.0)
    assert torch.add(d, x) == (4.0, None)
    assert torch.cat([x, d], dim=0) == (2, 0)
    with pytest.raises(TypeError, match=r"'torch.mul'.*[\s\S]*Diagonal"):
        torch.mul(d, x)
    for name in ("einsum", "logsumexp"):
        with pytest.raises(TypeError, match="Diagonal"):
            getattr(torch, name)(*{"einsum": ("i->i", d), "logsumexp": (d, 0)}[name])
    o = torch.overrides
    assert [o.is_tensor_like(v) for v in (d, x, 3)] == [True, True, False]
    assert o.has_torch_function((x, d))
    assert not o.has_torch_function((x, 3))
    assert o.handle_torch_function(torch.mean, (d,), d) == 2.0


def test_subclasses_come_before_their_bases(torch):
    class Base(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return cls.__name__, sorted(t.__name__ for t in types)

    class Derived(Base):
        pass

    a, b = torch.ones(1).as_subclass(Base), torch.ones(1).as_subclass(Derived)
    assert torch.mul(a, b) == torch.mul(b, a) == ("Derived", ["Base", "Derived"])


def test_modes(torch):
    class Log(torch.overrides.TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    class Twice(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            return result * 2 if func is torch.ones else result

    with Log() as log:
        x = torch.zeros(2) + 1
        torch.nn.functional.relu(x).sum()
        torch.stack([x, x])
        2 * x
    x + 1
    assert log.seen == ["zeros", "add", "relu", "sum", "stack", "mul"]
    with Log() as outer, Twice():
        assert torch.ones(1).item() == 2
    assert outer.seen[:2] == ["ones", "mul"]
    with Log() as log, torch._C.DisableTorchFunction():
        torch.ones(1)
    assert log.seen == []


def test_wrapped_functions(torch):
    Diagonal, table = diagonal(torch)

    @torch.overrides.wrap_torch_function(lambda x: (x,))
    def half(x):
        return x / 2

    table[half] = lambda d: "taken"
    assert half(Diagonal(1.0)) == "taken"
    assert half(4) == 2
    assert torch.add in torch.overrides.get_overridable_functions()[torch]


def test_nothing_is_asked_before_a_class_is_there(run_python):
    run_python("import sys, minitorch as t; t.ones(2) + t.ones(2).mean(); t.nn.Linear(2, 2)(t.ones(1, 2))\n"
               "class P(t.nn.Parameter): pass\n"
               "from minitorch import op\n"
               "assert op.overriding is None and 'minitorch.overrides' not in sys.modules\n"
               "class S(t.Tensor): pass\n"
               "assert op.overriding is not None")


def test_a_parameter_takes_nothing_over():
    assert overrides._overloaded([minitorch.nn.Parameter(minitorch.ones(1)), 1, [2]]) == []
