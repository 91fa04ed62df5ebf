"""torch.func: derivatives of functions and batches of them, against closed forms, and PyTorch where installed."""
import numpy as np
import pytest

import minitorch as torch
from minitorch import nn
from minitorch.func import (
    batched,
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from tests import samples

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def close(a, b, tol=1e-9):
    np.testing.assert_allclose(np.asarray(a.detach()._array), np.asarray(getattr(b, "_array", b)), tol, tol)


@pytest.fixture
def at_once(monkeypatch):
    """Fails where vmap has to run a function on one example after the other."""
    def fail(self, *args):
        raise AssertionError("one by one")
    monkeypatch.setattr(batched._Call, "_one_by_one", fail)


def test_derivatives_of_every_order():
    f = torch.sin
    for expected in (torch.cos(X), -torch.sin(X), -torch.cos(X)):
        f = (lambda g: lambda x: grad(lambda z: g(z).sum())(x))(f)
        close(f(X), expected)
    close(hessian(lambda x: (x ** 3).sum())(X), torch.diag(6 * X))
    close(jacrev(jacfwd(lambda x: x ** 3))(X)[1, 1], [0, 6 * X[1].item(), 0])


def test_gradients_keep_apart_what_is_nested():
    one = torch.tensor(1.0)
    assert grad(lambda x: x * grad(lambda y: x + y)(one))(one).item() == 1.0  # perturbations are not mixed up
    w = torch.tensor(3.0, requires_grad=True)
    dx = grad(lambda x: w * x ** 2)(torch.tensor(2.0))
    dx.backward()
    assert (dx.item(), w.grad.item()) == (12.0, 4.0)
    assert not grad(lambda x: x ** 2)(torch.tensor(2.0)).requires_grad
    with torch.no_grad():
        assert grad(lambda x: x ** 2)(w).item() == 6.0
    x = torch.tensor(2.0, requires_grad=True)
    assert torch.autograd.grad(grad(lambda x: x ** 3)(x), x)[0].item() == 12.0


def test_argnums_aux_and_trees():
    dp, (value, aux) = grad_and_value(lambda p, x: ((p["a"] * x).sum() + p["b"], {"y": x + 1}), has_aux=True)(
        {"a": X, "b": torch.tensor(1.0, dtype=torch.float64)}, X)
    close(dp["a"], X), close(dp["b"], 1.0), close(value, (X * X).sum() + 1), close(aux["y"], X + 1)
    da, db = grad(lambda a, b: (a * b).sum(), argnums=(0, -1))(X, 2 * X)
    close(da, 2 * X), close(db, X)
    jacobians = jacrev(lambda x: {"s": x.sum(), "t": x * 2})(X)
    close(jacobians["s"], torch.ones(3)), close(jacobians["t"], 2 * torch.eye(3))


def test_products_with_the_jacobian():
    y, pull = vjp(lambda x: (x.sin(), x.sum()), X)
    close(pull((torch.ones(3, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)))[0], X.cos() + 2)
    close(y[0], X.sin())
    out, tangent = jvp(lambda x, y: x * y, (X, 2 * X), (torch.ones_like(X), X))
    close(out, 2 * X * X), close(tangent, 2 * X + X * X)
    out, push = linearize(torch.exp, X)
    close(push(X), X * X.exp()), close(out, X.exp())
    close(jvp(lambda x: torch.ones(2), (X,), (X,))[1], [0, 0])


def test_vmap_axes_and_chunks(at_once):
    x, y = torch.randn(4, 3, 2), torch.randn(5, 4)
    close(vmap(lambda a, b: a.sum(0) * b.mean(), in_dims=(1, None), out_dims=1)(x, y),
          (x.sum(0) * y.mean()).T, 1e-5)
    close(vmap(vmap(torch.dot, in_dims=(0, None)), in_dims=(None, 0))(y, y), y @ y.T, 1e-5)
    close(vmap(lambda a: a * 2, chunk_size=3)(x), x * 2)
    close(vmap(lambda d: d["a"] + d["b"][0], in_dims=({"a": 0, "b": None},))({"a": x, "b": [y[0, 0]]}), x + y[0, 0])
    close(torch.vmap(lambda a, *, s: a * s)(y, s=torch.arange(5)), y * torch.arange(5)[:, None])
    assert vmap(lambda a: torch.zeros(2))(y).shape == (5, 2)
    assert vmap(lambda a: a.exp())(torch.ones(0, 3)).shape == (0, 3)


def small_cnn():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(1, 2), nn.Flatten(),
                         nn.Linear(8, 3), nn.LayerNorm(3))


def test_gradients_of_each_example(at_once):
    model = small_cnn()
    params = {name: p.detach() for name, p in model.named_parameters()}
    x, y = torch.randn(4, 1, 6, 6), torch.tensor([0, 2, 1, 0])

    def loss(p, x, y):
        return nn.functional.cross_entropy(functional_call(model, p, x.unsqueeze(0)), y.unsqueeze(0))

    each = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(4):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[i:i + 1]), y[i:i + 1]).backward()
        for name, p in model.named_parameters():
            close(each[name][i], p.grad, 1e-4)


def test_ensembles_run_at_once(at_once):
    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)) for _ in range(3)]
    params, buffers = stack_module_state(models)
    assert params["0.weight"].is_leaf and params["0.weight"].requires_grad and buffers == {}
    x = torch.randn(5, 3)
    y = vmap(lambda p, x: functional_call(models[0], p, (x,)), in_dims=(0, None))(params, x)
    close(y, torch.stack([m(x) for m in models]), 1e-5)
    y.sum().backward()
    models[1](x).sum().backward()
    close(params["0.weight"].grad[1], models[1][0].weight.grad, 1e-5)


def test_vmap_composes_with_derivatives(at_once):
    xs = torch.randn(4, 3, dtype=torch.float64)
    close(vmap(hessian(lambda x: (x ** 3).sum()))(xs), torch.diag_embed(6 * xs))
    close(vmap(jacfwd(torch.sin))(xs), torch.diag_embed(xs.cos()))
    close(grad(lambda x: vmap(torch.dot)(x, x).sum())(xs), 2 * xs)
    close(vmap(vmap(grad(lambda x: x ** 3)))(xs), 3 * xs ** 2)
    _, pull = vjp(torch.sin, xs[0])
    close(vmap(pull)(torch.eye(3, dtype=torch.float64))[0], torch.diag(xs[0].cos()))


def test_what_has_no_rule_runs_one_by_one():
    x = torch.tensor([[3.0, 1.0, 2.0], [-1.0, 5.0, 4.0]])
    close(vmap(lambda v: v * 2 if v.sum().item() > 7 else v - 1)(x), torch.stack([x[0] - 1, x[1] * 2]))

    def in_place(v):
        v = v.clone()
        v[0] = 0
        v += 1
        return v

    close(vmap(in_place)(x), [[1, 2, 3], [1, 6, 5]])
    close(vmap(lambda v: torch.bucketize(v, torch.tensor([0.0, 2.0])))(x), [[2, 1, 1], [0, 2, 2]])


def test_randomness():
    x = torch.zeros(3, 2)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda v: v + torch.rand(2))(x)
    same = vmap(lambda v: v + torch.rand(2) + torch.randn(2), randomness="same")(x)
    close(same[0], same[1]), close(same[0], same[2])
    different = vmap(lambda v: nn.functional.dropout(v + 1, 0.5), randomness="different")(torch.zeros(3, 50))
    assert (different[0] != different[1]).any()
    assert torch.rand(1).shape == (1,)  # and outside all is as before


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, dy):
        return dy * 2


class TwiceAtOnce(Twice):
    @staticmethod
    def vmap(info, in_dims, x):
        assert (info.batch_size, in_dims) == (3, (0,))
        return TwiceAtOnce.apply(x), 0


@pytest.mark.parametrize("function", [Twice, TwiceAtOnce])
def test_custom_functions(function):
    close(vmap(grad(lambda x: function.apply(x).sum()))(torch.ones(3, 2)), torch.full((3, 2), 2.0))


def test_gradients_of_a_batch_of_weights():
    x = X.clone().requires_grad_()
    y, eye = x ** 2, torch.eye(3, dtype=torch.float64)
    close(torch.autograd.grad(y, x, eye, retain_graph=True, is_grads_batched=True)[0], torch.diag(2 * X))
    close(vmap(lambda v: torch.autograd.grad(y, x, v, retain_graph=True)[0])(eye), torch.diag(2 * X))


@pytest.mark.parametrize("call, kind, message", [
    (lambda: vmap(lambda x: None)(X), ValueError, "must only return Tensors"),
    (lambda: vmap(lambda x: 3.0)(X), ValueError, "must only return Tensors"),
    (lambda: vmap(lambda x: x, in_dims=(0, 0))(X), ValueError, "in_dims is not compatible"),
    (lambda: vmap(lambda x, y: x)(X, X[:2]), ValueError, "same size in the mapped dimension"),
    (lambda: vmap(lambda x: x, in_dims=2)(X), ValueError, "Got in_dim=2"),
    (lambda: vmap(lambda x: x)(3.0), ValueError, "cannot vmap over non-Tensor"),
    (lambda: vmap(lambda x: x)(), ValueError, "got no inputs"),
    (lambda: vmap(lambda x: x, out_dims=None)(X), ValueError, "out_dim is None"),
    (lambda: vmap(lambda x: x, out_dims=(0, 0))(X), ValueError, "out_dims is not compatible"),
    (lambda: vmap(lambda x: x, randomness="often"), RuntimeError, "Only allowed values for randomness"),
    (lambda: vmap(lambda x: x, chunk_size=0), ValueError, "chunk_size"),
    (lambda: vmap(lambda x: x @ torch.ones(4))(torch.ones(2, 3)), RuntimeError, "matmul|size"),
    (lambda: grad(lambda x: x)(X), RuntimeError, "scalar"),
    (lambda: grad(lambda x: 1)(X), RuntimeError, "return a Tensor"),
    (lambda: grad(torch.sum)(torch.ones(2).long()), RuntimeError, "floating point"),
    (lambda: grad(torch.sum, argnums=3)(X), RuntimeError, "argnum=3"),
    (lambda: vjp(torch.sin, X)[1](torch.ones(2)), RuntimeError, "Mismatch in shape"),
    (lambda: jvp(torch.sin, (X,), (X[:2],)), RuntimeError, "different size"),
    (lambda: jvp(torch.sin, X, X), RuntimeError, "Expected primals to be a tuple"),
    (lambda: stack_module_state([]), RuntimeError, "at least one model"),
    (lambda: functional_call(nn.Linear(1, 1), [{"bias": X}, {"bias": X}], X), ValueError, "multiple dictionaries"),
])
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


samples.load()
RULED = ("add", "lerp", "where", "softmax", "sum", "var", "cumsum", "matmul", "linear", "conv2d", "conv1d", "einsum",
         "gather", "scatter", "cat", "stack", "reshape", "expand", "squeeze", "roll", "amax", "sort", "embedding",
         "layer_norm", "group_norm", "cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy", "index",
         "nn.functional.scaled_dot_product_attention", "permute", "diagonal", "unfold", "as_strided", "max_pool2d")


@pytest.mark.parametrize("case", [c for c in samples.CASES if c.name in RULED and not c.call], ids=lambda c: c.id)
def test_rules_agree_with_a_loop(case):
    """Every sample of an op with a rule: over all of its arrays, and over each alone."""
    name = case.name.rpartition(".")[2]
    function = next((getattr(at, name) for at in (torch, torch.Tensor, nn.functional) if hasattr(at, name)), None)
    if function is None:
        pytest.skip("an op that is called by others only")
    for sample in [s for s in case.samples if not s.big][:6]:
        (args, options), (args2, _) = sample.make(1), sample.make(2)
        places = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.shape == args2[i].shape]
        tensors = [(torch.tensor(args[i]), torch.tensor(args2[i])) for i in places]
        for chosen in [tuple(range(len(places))), *[(j,) for j in range(len(places))]]:
            options = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

            def run(*each, args=args, chosen=chosen, options=options, places=places, tensors=tensors):
                given = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
                for j, t in zip(chosen, each):
                    given[places[j]] = t
                result = function(*given, **options)
                return tuple(result) if isinstance(result, (list, tuple)) else (result,)
            try:
                expected = list(zip(*[run(*[tensors[j][i] for j in chosen]) for i in (0, 1)]))
            except (RuntimeError, IndexError, ValueError, TypeError):
                continue
            if not chosen or any(a.shape != b.shape for a, b in expected):
                continue
            for y, (a, b) in zip(vmap(run)(*[torch.stack(list(tensors[j])) for j in chosen]), expected):
                assert y.dtype is a.dtype
                close(y, torch.stack([a, b]), 1e-6)


def test_against_pytorch():
    theirs = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    results = []
    for t in (torch, theirs):
        def f(w, x, t=t):
            return t.tanh(t.nn.functional.linear(x, w)).pow(2).sum()
        a, b = t.tensor(w), t.tensor(x)
        results.append([t.func.vmap(t.func.grad(f), in_dims=(None, 0))(a, b), t.func.hessian(f, 0)(a, b),
                        t.func.vmap(t.func.jacrev(f, (0, 1)), in_dims=(None, 0))(a, b)[1],
                        t.func.jvp(lambda w, f=f, b=b: f(w, b), (a,), (a,))[1],
                        t.func.grad(lambda w, f=f, b=b, t=t: t.func.vmap(f, in_dims=(None, 0))(w, b).sum())(a)])
    for ours, reference in zip(*results):
        close(ours, reference.numpy())


def test_indices_that_are_mapped():
    """What libraries wrap in PyTorch's TransformGetItemToIndex."""
    from minitorch.compat._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    x = torch.arange(6).reshape(2, 3)
    with TransformGetItemToIndex():
        rows = torch.vmap(lambda i: torch.vmap(lambda j: x[i, j])(torch.arange(3)))(torch.arange(2))
    assert rows.tolist() == x.tolist()
