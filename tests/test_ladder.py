"""The ladders: every rung of matmul and conv2d against einsum and SciPy in float64, and networks that train on them."""
from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, table, use
from minitorch_kernels.ladder import ladder, ladders

import minitorch as mt
from minitorch.nn import functional as F

pytest.importorskip("numba")
k = kernels(np)
MATMUL, CONV2D = ([rung.name for rung in ladder(name)] for name in ("matmul", "conv2d"))
OWN = [[v.name for v in table.get(name).versions[::-1] if v.backend == "ladder" and v.device == "cpu"]
       for name in ("matmul", "conv2d")]
PRODUCTS = [((n, n), (n, n)) for n in (1, 3, 7, 17, 33)] + [
    ((65, 31), (31, 129)), ((13, 300), (300, 5)), ((0, 5), (5, 3)), ((4, 0), (0, 3)), ((4, 5), (5, 0)), ((5,), (5,)),
    ((5,), (5, 3)), ((4, 5), (5,)), ((0, 4, 5), (5, 3)), ((2, 1, 4, 5), (3, 5, 6)), ((3, 14, 9), (9, 35))]
GEOMETRIES = [  # x, w, stride, padding, dilation, groups
    ((2, 3, 7, 9), (5, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((3, 4, 5, 5), (35, 4, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 4, 9, 8), (6, 2, 3, 2), (2, 1), (1, 2), (1, 2), 2),
    ((2, 3, 8, 11), (6, 1, 3, 3), (2, 3), (2, 0), (2, 1), 3),
    ((1, 2, 13, 6), (3, 2, 5, 4), (3, 2), (4, 3), (1, 1), 1),
    ((0, 2, 5, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]


def numbers(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(got, want, dtype, depth):
    assert got.shape == want.shape and got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=50 * np.finfo(dtype).eps * max(1, depth) ** 0.5)


def product(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    left, right = "k" if a.ndim == 1 else "...mk", "k" if b.ndim == 1 else "...kn"
    out = ("..." if max(a.ndim, b.ndim) > 2 else "") + "m" * (a.ndim > 1) + "n" * (b.ndim > 1)
    return np.einsum(f"{left},{right}->{out}", a, b)


def convolution(x, w, b, stride, padding, dilation, groups):
    """By SciPy, plane by plane, with the window spread out."""
    signal = pytest.importorskip("scipy.signal")
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in padding)])
    spread = np.zeros((*w.shape[:2], *(d * (n - 1) + 1 for d, n in zip(dilation, w.shape[2:]))))
    spread[:, :, ::dilation[0], ::dilation[1]] = w
    first = np.arange(len(w)) // (len(w) // groups) * w.shape[1]
    out = [n - m + 1 for n, m in zip(x.shape[2:], spread.shape[2:])]
    y = np.zeros((len(x), len(w), *out)) + b.astype(np.float64)[:, None, None]
    for n, o, c in np.ndindex(len(x), *w.shape[:2]):
        y[n, o] += signal.correlate2d(x[n, first[o] + c], spread[o, c], "valid")
    return y[:, :, ::stride[0], ::stride[1]]


@pytest.mark.parametrize("rung", MATMUL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(rung, dtype):
    for left, right in PRODUCTS:
        a, b = numbers(left, dtype), numbers(right, dtype, 1)
        with use(matmul=rung):
            close(k.matmul(a, b), product(a, b), dtype, left[-1])


@pytest.mark.parametrize("rung", MATMUL)
def test_operands_lie_as_they_like(rung):
    whole, frozen = numbers((3, 40, 38)), numbers((13, 15))
    frozen.flags.writeable = False
    for a, b in [(whole[0].T, whole[1].T[::-1, ::2].T[:, :30].repeat(2, 0)), (whole[:, ::3, 1::2], whole[0, :19, ::-1]),
                 (np.broadcast_to(whole[0, 0], (5, 38)), whole[0, :38]), (frozen, frozen.T)]:
        with use(matmul=rung):
            close(k.matmul(a, b), product(a, b), np.float64, a.shape[-1])


@pytest.mark.parametrize("rung", CONV2D)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convolutions(rung, dtype):
    """The result by SciPy; the gradients by what makes them so: <dy, conv(x, w)> = <dx, x> = <dw, w>."""
    for x_shape, w_shape, *options in GEOMETRIES:
        x, w, b = (numbers(shape, dtype, i) for i, shape in enumerate((x_shape, w_shape, w_shape[:1])))
        want = convolution(x, w, b, *options)
        dy, depth = numbers(want.shape, dtype, 3), w[0].size
        with use(conv2d=rung):
            close(k.conv2d(x, w, b, *options), want, dtype, depth)
            dx, dw = k.conv2d_dx(dy, w, x_shape, *options), k.conv2d_dw(dy, x, w_shape, *options)
        assert dx.shape == x_shape and dw.shape == w_shape and dx.dtype == dw.dtype == dtype
        for i in range(3):  # the adjoint's definition, in directions of its own
            other, weights = numbers(x_shape, np.float64, 5 + i), numbers(w_shape, np.float64, 8 + i)
            none = np.zeros(len(w))
            for got, forward in [(np.vdot(dx, other), convolution(other, w, none, *options)),
                                 (np.vdot(dw, weights), convolution(x, weights, none, *options))]:
                exact = np.vdot(dy.astype(np.float64), forward)
                assert abs(got - exact) <= 300 * np.finfo(dtype).eps * max(1, dy.size * depth) ** 0.5


def test_a_choice_for_a_kernel_holds_for_what_goes_with_it():
    x, w = numbers((4, 5)), numbers((3, 5))
    image, window, options = numbers((1, 2, 5, 5)), numbers((2, 2, 3, 3)), ((1, 1), (1, 1), (1, 1), 1)
    with use(matmul="rows", conv2d="rows"):
        for name, arguments in [("matmul", (x, w.T)), ("linear", (x, w, None)), ("linear_relu", (x, w, x[0, :3])),
                                ("conv2d", (image, window, None, *options)),
                                ("conv2d_relu", (image, window, None, *options)),
                                ("conv2d_dx", (image, window, image.shape, *options)),
                                ("conv2d_dw", (image, image, window.shape, *options))]:
            assert "rows        runs" in explain(name, *arguments), name
    with use(conv2d="rows", conv2d_dw="loops"):  # the narrower choice wins
        assert "loops       runs" in explain("conv2d_dw") and "rows        runs" in explain("conv2d_dx")
    assert "rows        refuses: a rung of the ladder runs where it is named" in explain("matmul")


class Net(mt.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = mt.nn.Conv2d(2, 5, 3, padding=1), mt.nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.last = mt.nn.Linear(6 * 4 * 3, 4)

    def forward(self, x):
        return self.last(self.second(self.first(x).tanh()).relu().flatten(1))


def step(watched=None):
    """The loss before and after a step of training in float64, and the gradients of all parameters."""
    mt.manual_seed(0)
    net, x, target = Net().double(), mt.randn(3, 2, 7, 6).double(), mt.tensor([0, 3, 1])
    optimizer = mt.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def train():
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    if watched is None:
        losses = [train()]
    else:
        with table.watch(watched):
            losses = [train()]
    return [*losses, F.cross_entropy(net(x), target).item()], [p.grad.numpy() for p in net.parameters()]


@pytest.mark.parametrize("product, convolution", list(zip_longest(*OWN, fillvalue="threads")))
def test_a_network_trains_on_each_rung(product, convolution):
    """Forward and backward, each product and each convolution, and as the reference does."""
    with use("reference"):
        losses, gradients = step()
    ran = {}

    def note(name, version, run, arguments, options):
        ran.setdefault(name, set()).add(version)
        return run(*arguments, **options)

    with use(matmul=product, conv2d=convolution):
        found, on_rung = step(note)
    wanted = {name: {product if name in ("matmul", "linear") else convolution}
              for name in ("matmul", "linear", "conv2d", "conv2d_dx", "conv2d_dw")}
    assert {name: ran.get(name) for name in wanted} == wanted
    np.testing.assert_allclose(found, losses, rtol=1e-12)
    for got, want in zip(on_rung, gradients):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-13)
    assert losses[1] < losses[0]


@pytest.mark.parametrize("rung", MATMUL)
def test_gradients_of_products(rung):
    a, b, w, bias = (mt.tensor(numbers(shape, seed=i), requires_grad=True)
                     for i, shape in enumerate(((2, 3, 4), (4, 5), (6, 5), (6,))))
    with use(matmul=rung):
        assert mt.autograd.gradcheck(lambda a, b, w, bias: F.linear(a @ b, w, bias), (a, b, w, bias))


@pytest.mark.parametrize("rung", CONV2D)
def test_gradients_of_convolutions(rung):
    x, w, b = (mt.tensor(numbers(shape, seed=i), requires_grad=True)
               for i, shape in enumerate(((2, 2, 5, 4), (4, 1, 3, 3), (4,))))
    with use(conv2d=rung):
        assert mt.autograd.gradcheck(lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1, groups=2), (x, w, b))


def test_bits_do_not_depend_on_the_number_of_threads():
    a, b = numbers((301, 403), np.float32), numbers((403, 205), np.float32, 1)
    x, w, options = numbers((5, 8, 30, 31), np.float32), numbers((40, 8, 3, 3), np.float32), ((1, 1), (1, 1), (1, 1), 1)
    before, results = parallel.get_num_threads(), []
    try:
        with use(matmul="threads", conv2d="threads"):
            for threads in (1, 2, 3):
                parallel.set_num_threads(threads)
                dy = k.conv2d(x, w, None, *options)
                results.append([k.matmul(a, b), dy, k.conv2d_dx(dy, w, x.shape, *options),
                                k.conv2d_dw(dy, x, w.shape, *options)])
    finally:
        parallel.set_num_threads(before)
    for others in results[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(results[0], others))


def test_infinity_and_nan_stay_where_they_are():
    a, b = numbers((20, 30)), numbers((30, 70))
    a[3, 5], b[7, 40] = np.inf, np.nan
    want = product(a, b)
    for rung in MATMUL:
        with use(matmul=rung):
            y = k.matmul(a, b)
        assert np.array_equal(np.isnan(y), np.isnan(want)) and np.array_equal(np.isinf(y), np.isinf(want)), rung


@pytest.mark.parametrize("name", ["matmul", "conv2d"])
def test_a_ladder_is_walked_from_its_foot(name):
    rungs = ladder(name)
    assert [rung.number for rung in rungs] == list(range(1, len(rungs) + 1))
    assert rungs[0].name == "python" and len({rung.name for rung in rungs}) == len(rungs)
    assert len({rung.idea for rung in rungs}) == len(rungs) and all(len(rung.idea) > 30 for rung in rungs)
    assert [rung.name for rung in rungs][::-1] == [v.name for v in table.get(name).versions if v.device == "cpu"]
    for rung in rungs[1:len(OWN[name == "conv2d"])]:
        assert "Lifts" in rung.function.__doc__, f"{rung.name} does not say what bound it lifts"
    assert name in ladders()


def test_what_is_not_there():
    with pytest.raises(ValueError, match=r"ladder: expects one of conv2d, matmul, got 'softmax'"):
        ladder("softmax")
    with pytest.raises(ValueError, match=r"use: matmul has the versions auto, .*tiled.*python.*, not 'naive'"):
        use(matmul="naive")
    with use(matmul="tiled"):  # what a rung does not take, the reference does
        whole = np.arange(6).reshape(2, 3)
        assert "tiled       refuses: float32 and float64 only" in explain("matmul", whole, whole.T)
        assert (k.matmul(whole, whole.T) == [[5, 14], [14, 50]]).all()
    with use(matmul="python"):
        large = np.ones((300, 300))
        assert "python      refuses: the interpreter would take long" in explain("matmul", large, large)
