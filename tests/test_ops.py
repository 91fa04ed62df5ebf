"""Every op against its independent reference: values, gradients, second derivatives, manners, errors."""
from __future__ import annotations

import re
from types import FunctionType

import numpy as np
import pytest
import samples
from minitorch_kernels.table import use

import minitorch
from minitorch import selfcheck
from minitorch.engine import Node, captured, no_grad
from minitorch.op import FUNCTIONS, OPS, Op
from minitorch.selfcheck import Trial, dtypes_of, error, function_of, gradients, host, tolerance
from minitorch.tensor import Tensor

CASES = samples.load()


def each(grad=False, second=False, big=True, wide=False):
    """Parametrises a test over (case, sample), narrowed to those that have what the test is about."""
    found = []
    for case in CASES:
        if ((grad or second) and not case.grad) or (second and not case.second):
            continue
        for number, sample in enumerate(case.samples):
            if ((grad or second) and not sample.grad) or (sample.big and not big):
                continue
            if wide and sample.dtypes is not None and "float64" not in sample.dtypes:
                continue
            if (grad or second) and not Trial(case, sample).leaves:
                continue
            found.append(pytest.param(case, sample, id=f"{case.id}[{number}:{sample.id}]"))
    return pytest.mark.parametrize("case, sample", found)


def width(case, sample):
    """float32 where the sample runs in it: fast kernels are for it."""
    found = dtypes_of(case, sample)
    return "float32" if "float32" in found else found[0]


@each()
def test_forward(case, sample):
    for dtype in dtypes_of(case, sample):
        found = selfcheck.forward_error(case, sample, dtype)
        assert found <= tolerance(case, dtype), f"{dtype}: error {found:.2e}"


@each(grad=True)
def test_gradient(case, sample):
    for dtype in dtypes_of(case, sample):
        found = selfcheck.gradient_error(case, sample, dtype)
        assert found <= tolerance(case, dtype, 1), f"{dtype}: error {found:.2e}"


@each(second=True, big=False, wide=True)
def test_second_derivative(case, sample):
    found = selfcheck.second_error(case, sample)
    assert found <= tolerance(case, "float64", 2), f"error {found:.2e}"


@each(big=False)
def test_layout(case, sample):
    """Inputs that are not contiguous give the same values and gradients."""
    dtype = width(case, sample)
    plain = Trial(case, sample, dtype)
    ys = plain()
    differentiable = bool(plain.leaves) and sample.grad
    weights = plain.weights([host(y) for y in ys])
    expected = gradients(plain, weights) if differentiable else []
    for arrange in (fortran, every_second, backwards):
        strided = Trial(case, sample, dtype, arrange=arrange)
        if all(t._array.flags.c_contiguous for t in strided.tensors):
            continue
        if not sample.layouts:
            with pytest.raises(RuntimeError):
                strided()
            continue
        compare(strided(), ys, tolerance(case, dtype), arrange.__name__)
        if differentiable:
            arranged = [None if w is None else arrange(w.astype(host(y).dtype)) for w, y in zip(weights, ys)]
            compare_gradients(gradients(strided, arranged), expected, tolerance(case, dtype, 1), arrange.__name__)


def fortran(array):
    """The same values, the first dimension running fastest."""
    return array.copy(order="F")


def every_second(array):
    """The same values with a gap after each in the last dimension."""
    if not array.ndim:
        return array
    spaced = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    spaced[..., ::2] = array
    return spaced[..., ::2]


def backwards(array):
    """The same values with negative strides."""
    return np.flip(np.flip(array).copy()) if array.ndim else array


@each(big=False)
def test_manners(case, sample):
    """Inputs stay as they are, results own their memory unless they are views, and the graph is made when it should."""
    for dtype in dtypes_of(case, sample, "float32", "float64"):
        trial = Trial(case, sample, dtype)
        before = [t._array.copy() for t in trial.tensors]
        ys = trial()
        for t, b in zip(trial.tensors, before):
            assert same_bits(t._array, b), f"{case.id} changed an input"
        views = case.view or (case.name in OPS and OPS[case.name].view)
        for y in (y for y in ys if isinstance(y, Tensor)):
            shared = [t for t in trial.tensors if np.shares_memory(y._array, t._array)]
            if not views:
                assert not shared, f"{case.id} returns an input's memory"
            for t in shared:
                assert y is t or y._counter is t._counter is not None, f"{case.id}: a view without the shared version"
            if trial.leaves and y._array.dtype.kind in "fc" and sample.grad and not case.constant:
                assert y.requires_grad and (y.grad_fn is not None or any(y is x for x in trial.leaves))
            if y._array.dtype.kind not in "fc":
                assert not y.requires_grad
        with no_grad():
            for y in Trial(case, sample, dtype, grad=False)():
                assert not isinstance(y, Tensor) or (not y.requires_grad and y._node is None)
            for y in Trial(case, sample, dtype)():
                assert not isinstance(y, Tensor) or y._node is None


@each(grad=True, big=False)
def test_retained(case, sample):
    """What gradient functions return is never what they keep, and backward frees what they keep."""
    trial = Trial(case, sample, width(case, sample))
    ys = [y for y in trial() if isinstance(y, Tensor) and y.requires_grad]
    nodes = nodes_below(ys)
    for node in nodes:
        check_versions(node)
        if node.outputs or type(node.backward) is not list or node.dtype is None:
            continue
        kept = [v for f in node.functions() for _, values in kept_by(f) for v in arrays_in([values])]
        dy = np.ones(node.shape, node.dtype)
        for f in node.functions():
            dx = f(dy)
            if isinstance(dx, np.ndarray):
                assert not any(np.shares_memory(dx, v) for v in kept), f"{node.op.name} returns a retained array"
                assert np.all(dy == 1), f"{node.op.name} writes into dy"
    inputs = [t._array for t in trial.tensors]
    before = [a.copy() for a in inputs]
    backward(ys)
    for node in nodes:
        left = [name for f in node.functions() for name, values in kept_by(f) if arrays_in([values])]
        assert not left, f"{node.op.name} keeps {left} after backward"
    for a, b in zip(inputs, before):
        assert same_bits(a, b), f"{case.id}: backward changed an input"
    grads = [x.grad for x in trial.leaves if x.grad is not None]
    for i, g in enumerate(grads):
        assert not any(np.shares_memory(g._array, h._array) for h in grads[:i]), "two gradients share memory"


def check_versions(node):
    """A change in place of what a gradient function keeps would be noticed."""
    if not isinstance(node.op, Op):
        return
    watched = {name for _, _, name in node.versions}
    for f in node.functions():
        for name, values in kept_by(f):
            if name in (*node.op.params, "y") and arrays_in([values]):
                assert name in watched, f"{node.op.name} keeps {name}, whose version nobody looks at"


def kept_by(function):
    """The names and values that a function closes over, also through functions that it closes over."""
    for name, value in captured(function):
        if isinstance(value, FunctionType):
            yield from kept_by(value)
        else:
            yield name, value


def backward(ys):
    minitorch.autograd.backward(ys, [Tensor._wrap(np.ones_like(y._array)) for y in ys])


def nodes_below(ys):
    found, pending = {}, [y._node for y in ys]
    while pending:
        edge = pending.pop()
        edge = getattr(edge, "node", edge)
        if isinstance(edge, Node) and edge.number not in found:
            found[edge.number] = edge
            pending.extend(edge.inputs)
    return list(found.values())


def arrays_in(values):
    return [a for v in values for a in (arrays_in(v) if isinstance(v, (list, tuple)) else [v])
            if isinstance(a, np.ndarray)]


@each()
def test_backend(case, sample):
    """Under each choice of kernels the values and gradients are the same, up to rounding."""
    dtype = width(case, sample)
    trial = Trial(case, sample, dtype)
    ys = trial()
    differentiable = bool(trial.leaves) and sample.grad
    weights = trial.weights([host(y) for y in ys])
    expected = gradients(trial, weights) if differentiable else []
    for backend in ("reference", "numba"):
        with use(backend):
            again = Trial(case, sample, dtype)
            compare(again(), ys, tolerance(case, dtype), backend)
            if differentiable:
                compare_gradients(gradients(again, weights), expected, tolerance(case, dtype, 1), backend)


@pytest.mark.parametrize("case, sample", [
    pytest.param(case, sample, id=f"{case.id}[{sample.id}]") for case in CASES
    if case.inplace and case.call is None and hasattr(Tensor, case.name + "_") for sample in case.samples])
def test_inplace(case, sample):
    """`name_` gives what `name` does, in the tensor itself, with the same gradients."""
    dtype = width(case, sample)
    plain, changed = Trial(case, sample, dtype), Trial(case, sample, dtype)
    if not isinstance(changed.args[0], Tensor):
        pytest.skip("the first argument is no tensor")
    expected = plain()[0]
    x = changed.args[0].clone()
    views = case.view or (case.name in OPS and OPS[case.name].view)  # `t_()` changes the tensor's own shape
    if not views and (x.shape != expected.shape or expected.dtype.kind > x.dtype.kind):
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            getattr(x, case.name + "_")(*changed.args[1:], **changed.options)
        assert same_bits(x._array, changed.args[0]._array)
        return
    y = getattr(x, case.name + "_")(*changed.args[1:], **changed.options)
    assert y is x
    assert same_bits(host(y), host(expected).astype(host(y).dtype))
    if plain.leaves and sample.grad and expected.requires_grad:
        w = np.random.default_rng(0).standard_normal(y.shape).astype(host(y).dtype)
        found = minitorch.autograd.grad(y, changed.leaves, Tensor._wrap(w), allow_unused=True)
        wanted = minitorch.autograd.grad(expected, plain.leaves, Tensor._wrap(w), allow_unused=True)
        for g, h in zip(found, wanted):
            assert (g is None) == (h is None) and (g is None or np.allclose(g._array, h._array, equal_nan=True))


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES if c.name in FUNCTIONS and c.name in OPS
                                  and c.call is None])
def test_out(case):
    """`out=` receives the result, and takes its shape."""
    trial = Trial(case, case.samples[0], grad=False)
    ys = trial()
    if len(ys) != 1 or case.view or OPS[case.name].view:
        pytest.skip("several outputs, or a view")
    out = Tensor._wrap(np.zeros(0, ys[0]._array.dtype))
    assert function_of(case)(*trial.args, **trial.options, out=out) is out
    assert same_bits(out._array, ys[0]._array)


@pytest.mark.parametrize("case, bad", [pytest.param(case, bad, id=f"{case.id}[{i}:{bad.match[:40]}]")
                                       for case in CASES for i, bad in enumerate(case.errors)])
def test_error(case, bad):
    """Bad input raises what PyTorch raises there, the message names the op, and nothing has changed."""
    args = bad.arguments(np.random.default_rng(0)) if callable(bad.arguments) else bad.arguments
    made = []

    def convert(value):
        if isinstance(value, np.ndarray):
            made.append(Tensor._wrap(value.astype(np.float32) if value.dtype == np.float64 else value.copy()))
            return made[-1]
        return type(value)(map(convert, value)) if type(value) in (list, tuple) else value

    args, options = [convert(a) for a in args], {name: convert(value) for name, value in bad.options.items()}
    before = [t._array.copy() for t in made]
    with pytest.raises(bad.raises, match=bad.match) as raised:
        function_of(case)(*args, **options)
    if bad.named:
        short = case.name.rpartition(".")[2]
        assert re.search(re.escape(short.rstrip("_")), str(raised.value)), f"the message does not name {short}"
    for t, b in zip(made, before):
        assert same_bits(t._array, b) and t._node is None and not t.requires_grad


@each(big=False)
def test_as_in_torch(torch, case, sample):
    """PyTorch gives the same values, dtypes and gradients."""
    function = torch_function(torch, case)
    if function is None:
        pytest.skip("not compared: PyTorch has no function of that name, or the case says so")
    for dtype in dtypes_of(case, sample, "float32", "float64"):
        trial = Trial(case, sample, dtype)
        made = {}

        def convert(value, made=made):
            if isinstance(value, Tensor):
                made[id(value)] = torch.from_numpy(value._array.copy()).requires_grad_(value.requires_grad)
                return made[id(value)]
            if isinstance(value, minitorch.dtypes.dtype):
                return getattr(torch, value.name)
            return type(value)(map(convert, value)) if type(value) in (list, tuple) else value

        options = {name: getattr(torch, value) if name == "dtype" and isinstance(value, str) else convert(value)
                   for name, value in trial.options.items()}
        try:
            theirs = selfcheck.outputs(function(*map(convert, trial.args), **options))
        except (TypeError, NotImplementedError) as unlike:
            pytest.skip(f"PyTorch does not take it: {unlike}")
        except RuntimeError as unlike:
            if "not implemented for" not in str(unlike):
                raise
            pytest.skip(f"PyTorch does not take it: {unlike}")
        ys = trial()
        assert len(ys) == len(theirs)
        limit = 10 * tolerance(case, dtype)
        for y, t in zip(ys, theirs):
            if isinstance(y, Tensor):
                assert y.dtype.name == str(t.dtype).removeprefix("torch."), "result dtype"
                assert error(host(y), t.detach().resolve_conj().numpy(), case.id) <= limit
        pairs = [(y, t) for y, t in zip(ys, theirs) if isinstance(y, Tensor) and y.requires_grad and t.requires_grad]
        if not (trial.leaves and sample.grad and pairs):
            continue
        weights = [np.random.default_rng(i).standard_normal(y.shape).astype(host(y).dtype)
                   for i, (y, _) in enumerate(pairs)]
        found = minitorch.autograd.grad([y for y, _ in pairs], trial.leaves, [Tensor._wrap(w) for w in weights],
                                        allow_unused=True)
        wanted = torch.autograd.grad([t for _, t in pairs], [made[id(x)] for x in trial.leaves],
                                     [torch.from_numpy(np.asarray(w)) for w in weights], allow_unused=True)
        for g, h in zip(found, wanted):
            if h is not None and g is not None:
                scale = max(1.0, float(h.abs().max()) if h.numel() else 1.0)
                off = error(host(g) / scale, h.resolve_conj().numpy() / scale, f"{case.id}: gradient")
                assert off <= tolerance(case, dtype, 1)


def torch_function(torch, case):
    if case.torch is None or callable(case.torch):
        return case.torch
    if case.call is not None and not case.torch:
        return None
    name = case.torch or case.name
    owner, _, last = name.rpartition(".")
    places = [torch, torch.nn.functional, torch.Tensor, torch.special, torch.linalg]
    if owner:
        places = [torch.Tensor] if owner == "Tensor" else [torch]
        for part in owner.split(".") if owner != "Tensor" else ():
            places = [getattr(places[0], part, None)]
    return next((getattr(p, last) for p in places if hasattr(p, last)), None)


def compare(found, expected, limit, how):
    """Outputs against those of another way to compute them."""
    assert len(found) == len(expected)
    for y, e in zip(found, expected):
        assert host(y).dtype == host(e).dtype, how
        assert error(host(y), wide(host(e)), how) <= limit, how


def compare_gradients(found, expected, limit, how):
    """Gradients against those of another way, relative to the largest."""
    scale = max([1.0, *(np.max(np.abs(g), initial=0.0) for g in expected)])
    for g, e in zip(found, expected):
        assert error(g / scale, wide(e) / scale, how) <= limit, how


def wide(array):
    """Floating and complex values in double precision, others as they are."""
    if array.dtype.kind not in "fcV":
        return array
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and np.ascontiguousarray(a).tobytes() == b.tobytes()


def test_gradient_functions_keep_the_same_at_every_run():
    """An op looks once, at its first run, at what its gradient functions keep: branches must not differ in that."""
    seen, different = {}, set()
    for case in (c for c in CASES if c.grad):
        for sample in (s for s in case.samples if s.grad and not s.big):
            try:
                ys = Trial(case, sample, "float64")()
            except Exception:
                continue  # test_forward reports it
            for node in nodes_below([y for y in ys if isinstance(y, Tensor) and y.requires_grad]):
                functions = node.backward if type(node.backward) is list else [node.backward]
                for i, f in enumerate(functions if isinstance(node.op, Op) else ()):
                    kept = {n for n, _ in kept_by(f) if n in (*node.op.params, "y")} if f is not None else None
                    if kept is not None and seen.setdefault((node.op.name, i), kept) != kept:
                        different.add(f"{node.op.name} (gradient {i}: {seen[node.op.name, i]} and {kept})")
    assert not different, ", ".join(sorted(different))


def test_every_op_has_a_case():
    missing = sorted(set(OPS) - {case.name for case in CASES})
    assert not missing, f"ops without a case in tests/samples: {', '.join(missing)}"


def test_every_case_has_an_op():
    for case in CASES:
        assert callable(function_of(case)), case.id


def test_a_wrong_gradient_is_found():
    """The proof can fail: a case whose reference is something else does not pass."""
    wrong = samples.OpCase("mul", lambda a, b: a * b * 1.001, [samples.Sample(samples.arrays_like((3,), (3,)))])
    for check in (selfcheck.forward_error, selfcheck.gradient_error):
        assert check(wrong, wrong.samples[0], "float64") > 1e-5
