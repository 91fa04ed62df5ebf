"""Random numbers on the GPU: Philox's published vectors, PyTorch's recorded numbers, distributions, states, dropout."""
from __future__ import annotations

import pickle

import ml_dtypes
import numpy as np
import pytest

import minitorch as mt
from minitorch.nn import functional as F

stats = pytest.importorskip("scipy.stats", reason="scipy is not installed: nothing to compare distributions with")
DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
ONES = 0xFFFFFFFF
# Random123's kat_vectors: counter, key, result
KNOWN = [((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
         ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
         ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
          (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1))]


def philox(seed, counter, thread):
    """Four words of 32 bits for each thread, after the paper, by NumPy."""
    low = np.uint64(ONES)
    thread, counter = np.broadcast_arrays(np.asarray(thread, np.uint64), np.asarray(counter, np.uint64))
    a, b, c, d = counter & low, counter >> np.uint64(32), thread & low, thread >> np.uint64(32)
    keys = [seed & ONES, seed >> 32]
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> np.uint64(32)) ^ b ^ np.uint64(keys[0]), q & low, \
            (p >> np.uint64(32)) ^ d ^ np.uint64(keys[1]), p & low
        keys = [(keys[0] + 0x9E3779B9) & ONES, (keys[1] + 0xBB67AE85) & ONES]
    return np.array([a, b, c, d])


def uniforms(words):
    return words.astype(np.float64) * 2.0**-32 + 2.0**-33


@pytest.fixture(scope="module")
def random(device):
    from minitorch_kernels.cuda import random

    random.program.compile(random.program.all())
    return random


@pytest.fixture
def small(random, monkeypatch):
    """A GPU that holds 2 blocks, so that threads go round."""
    monkeypatch.setattr(random, "_resident", lambda: 2)
    return random


def test_the_tests_own_philox():
    for counter, key, expected in KNOWN:
        found = philox(key[0] | key[1] << 32, counter[0] | counter[1] << 32, counter[2] | counter[3] << 32)
        assert tuple(map(int, found)) == expected


def test_published_vectors(random):
    import cupy
    from minitorch_kernels.cuda.build import OPTIONS, source

    code = source("random.cu") + """
        __global__ void words(unsigned* out, u64 seed, u64 counter, u64 thread) {
            Words w = philox(seed, counter, thread);
            for (int i = 0; i < 4; i++) out[i] = w.at[i];
        }"""
    kernel = cupy.RawModule(code=code, options=OPTIONS, name_expressions=("words",)).get_function("words")
    for counter, key, expected in KNOWN:
        out = cupy.zeros(4, np.uint32)
        kernel((1,), (1,), (out, *(np.uint64(low | high << 32) for low, high in (key, counter[:2], counter[2:]))))
        assert tuple(out.get().tolist()) == expected


def test_the_numbers_that_pytorch_draws(random):
    """As printed by PyTorch on NVIDIA's GPUs: manual_seed(0), two times rand(10); manual_seed(42), randn(19)."""
    mt.manual_seed(0)
    first, second = mt.rand(10, device="cuda"), mt.rand(10, device="cuda")
    assert np.round(first.cpu().numpy(), 4).tolist() == pytest.approx(
        [0.3990, 0.5167, 0.0249, 0.9401, 0.9459, 0.7967, 0.4150, 0.8203, 0.2290, 0.9096], abs=1e-6)
    assert np.round(second.cpu().numpy(), 4).tolist() == pytest.approx(
        [0.9722, 0.7910, 0.4690, 0.3300, 0.3345, 0.3783, 0.7640, 0.6405, 0.1103, 0.3594], abs=1e-6)
    mt.cuda.manual_seed(42)
    assert np.round(mt.randn(1, 19, device="cuda").cpu().numpy()[0], 4).tolist() == pytest.approx(
        [0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530, -0.6494, -0.8175, 0.5280, -1.2753, -1.6621, -0.3033, -0.0926,
         0.1992, -1.1204, 1.8577, -0.7145, 0.6881, 0.7968], abs=1e-6)


def test_which_thread_draws_what(small):
    """Element e is word e // threads % 4 of thread e % threads; the offset counts four for each time round."""
    threads, source = 512, small.Philox(2**40 + 7)
    source.set_state(np.array([2**40 + 7, 8], np.uint64).view(np.uint8))
    found, e = source.uniform(5000).get(), np.arange(5000)
    words = philox(2**40 + 7, 2 + e // (4 * threads), e % threads)
    np.testing.assert_allclose(found, uniforms(words[e // threads % 4, e]), rtol=0, atol=1.3e-7)
    assert source.get_state().view(np.uint64).tolist() == [2**40 + 7, 8 + 4 * 3]
    found = source.uniform(3000, np.float64).get()
    e = e[:3000]
    words = philox(2**40 + 7, 5 + e // (2 * threads), e % threads).astype(np.uint64)
    half = e // threads % 2
    wide = words[2 * half, e] ^ words[2 * half + 1, e] << np.uint64(21)
    np.testing.assert_allclose(found, wide * 2.0**-53 + 2.0**-54, rtol=0, atol=3e-16)


def test_integers(small):
    threads, e = 512, np.arange(3000)
    words = philox(3, e // (4 * threads), e % threads)[e // threads % 4, e].astype(np.int64)
    np.testing.assert_array_equal(small.Philox(3).randint(-5, 95, 3000).get(), words % 100 - 5)
    np.testing.assert_array_equal(small.Philox(3).randint(0, 7, (3, 1000), np.uint8).get().ravel(), words % 7)
    both = philox(3, e // (2 * threads), e % threads)
    at = 2 * (e // threads % 2)
    wide = both[at, e] << np.uint64(32) | both[at + 1, e]
    np.testing.assert_array_equal(small.Philox(3).randint(0, 2**40, 3000).get(), wide % np.uint64(2**40))
    np.testing.assert_array_equal(small.Philox(3).random_(3000, np.int64, -2**63).get(), wide.view(np.int64))
    assert small.Philox(3).random_(9, np.float16).get().max() <= 2048
    with pytest.raises(RuntimeError, match="expects low < high"):
        small.Philox().randint(3, 3, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_distributions(random, dtype):
    kind, source = DTYPES[dtype], random.Philox(11)

    def fits(drawn, distribution):
        assert drawn.dtype == kind
        assert stats.kstest(drawn.get().astype(np.float64) + jitter, distribution).pvalue > 1e-3

    grain = {"float16": 2.0**-11, "bfloat16": 2.0**-8}.get(dtype, 0)  # numbers of 16 bits repeat themselves
    jitter = np.random.default_rng(0).uniform(-grain / 2, grain / 2, 2000)
    fits(source.uniform(2000, kind, -1, 3), stats.uniform(-1, 4).cdf)
    fits(source.normal(2000, kind, 2, 0.5), stats.norm(2, 0.5).cdf)
    fits(source.exponential(2000, kind, 2.0), stats.expon(0, 0.5).cdf)
    assert (source.exponential(2000, kind).get() > 0).all()
    kept = source.bernoulli(0.3, 2000, kind).get().astype(np.float64)
    assert set(kept) == {0.0, 1.0} and abs(kept.mean() - 0.3) < 0.05


def test_uniform_leaves_its_end_out(random):
    for dtype in (np.float16, ml_dtypes.bfloat16):
        drawn = random.Philox(1).uniform(5000, dtype).get()
        assert (drawn < 1).all() and (drawn >= 0).all()
    assert (random.Philox(1).uniform(100, np.float32, 2, 2).get() == 2).all()
    assert random.Philox(1).uniform((3, 0)).shape == (3, 0)


def test_bernoulli_of_an_array(random):
    import cupy

    p = np.linspace(0, 1, 1001, dtype=np.float32)
    found, e = random.Philox(5).bernoulli(cupy.asarray(p)).get(), np.arange(1001)
    u = uniforms(philox(5, 0, e // 4)[e % 4, e]).astype(np.float32)
    np.testing.assert_array_equal(found, (u <= p).astype(np.float32))
    assert random.Philox(5).bernoulli(cupy.asarray(p[:5]), (4, 5), np.dtype(bool)).get().dtype == bool


def test_permutations(random):
    source = random.Philox(2)
    drawn = source.randperm(1000).get()
    assert sorted(drawn.tolist()) == list(range(1000)) and abs(np.corrcoef(drawn, np.arange(1000))[0, 1]) < 0.1
    assert source.randperm(0).shape == (0,) and source.randperm(5, np.int32).dtype == np.int32


def test_categories(random):
    import cupy

    source, p = random.Philox(2), cupy.asarray(np.array([0.0, 1.0, 3.0], np.float32))
    one = source.multinomial(cupy.broadcast_to(p, (2000, 3)), 1).get()
    assert one.shape == (2000, 1) and 0.7 < (one == 2).mean() < 0.8 and (one > 0).all()
    assert sorted(source.multinomial(p, 2).get().tolist()) == [1, 2]
    assert source.multinomial(p, 50, True).shape == (50,)


def reference_kept(seed, n, itemsize, threads, keep):
    """Which elements PyTorch's dropout keeps: a thread draws for as many side by side as are 16 bytes, and divide n."""
    wide = 16 // itemsize
    while wide > 1 and n % wide:
        wide //= 2
    e = np.arange(n)
    thread, again = e // wide % threads, e // wide // threads
    counter = {1: again // 4, 2: again, 4: again, 8: 2 * again + e % 8 // 4}[wide]
    lane = {1: again % 4, 2: e % 2, 4: e % 4, 8: e % 4}[wide]
    return uniforms(philox(seed, counter, thread)[lane, e]).astype(np.float32) < np.float32(keep)


@pytest.mark.parametrize("dtype, n", [("float32", 9000), ("float32", 1002), ("float32", 2305), ("float16", 9000),
                                      ("float16", 1), ("bfloat16", 10), ("float64", 1026), ("float64", 7)])
def test_dropout_forward_and_backward(small, dtype, n):
    mt.manual_seed(7)
    x = mt.tensor(np.arange(1, n + 1) % 100 + 1.0, dtype=getattr(mt, dtype), device="cuda").requires_grad_()
    y = F.dropout(x, 0.3)
    threads = min(-(-n // 256), 2) * 256
    kept = reference_kept(7, n, x.element_size(), threads, 0.7)
    values = x.detach().cpu().double().numpy()
    expected = np.where(kept, values * (1 / np.float64(np.float32(0.7) if dtype != "float64" else 0.7)), 0)
    np.testing.assert_allclose(y.detach().cpu().double().numpy(), expected, rtol=8e-3 if "16" in dtype else 1e-6)
    y.backward(x.detach())
    np.testing.assert_array_equal(x.grad.cpu().double().numpy(), y.detach().cpu().double().numpy())


def test_dropout_has_second_derivatives(random):
    x = mt.ones(64, device="cuda").requires_grad_()
    y = F.dropout(x, 0.5)
    dx, = mt.autograd.grad((y * x).sum(), x, create_graph=True)
    ddx, = mt.autograd.grad(dx.sum(), x)
    assert mt.equal(ddx.cpu(), 2 * y.detach().cpu())
    assert mt.equal(F.dropout(x, 1.0).cpu(), mt.zeros(64)) and F.dropout(x, 0.5, training=False) is x


def test_other_dropouts(random):
    x = mt.ones(4, 6, 5, device="cuda")
    y = F.dropout1d(x, 0.5).cpu().numpy()
    assert ((y == y[:, :, :1]).all() and set(np.unique(y)) <= {0.0, 2.0})
    assert F.alpha_dropout(x, 0.3, training=True).shape == x.shape
    slopes = F.rrelu(-x, 0.2, 0.4, training=True).cpu().numpy()
    assert (slopes < -0.19).all() and (slopes > -0.41).all() and len(np.unique(slopes)) > 50


# Generators

def test_seeds_and_states(random):
    mt.manual_seed(3)
    assert mt.cuda.initial_seed() == 3
    a = mt.rand(5, device="cuda").cpu()
    state = mt.cuda.get_rng_state()
    assert state.dtype == mt.uint8 and state.shape == (16,) and not state.is_cuda
    b = mt.rand(5, device="cuda").cpu()
    mt.cuda.set_rng_state(state)
    assert mt.equal(mt.rand(5, device="cuda").cpu(), b) and not mt.equal(a, b)
    cpu = mt.get_rng_state()
    mt.cuda.manual_seed_all(3)
    assert mt.equal(mt.rand(5, device="cuda").cpu(), a) and mt.equal(mt.get_rng_state(), cpu)
    with mt.random.fork_rng():
        mt.rand(3, device="cuda")
    assert mt.equal(mt.rand(5, device="cuda").cpu(), b)
    with pytest.raises(RuntimeError, match="wrong size"):
        mt.cuda.set_rng_state(mt.zeros(5, dtype=mt.uint8))
    with pytest.raises(TypeError):
        mt.cuda.set_rng_state(mt.zeros(16))


def test_own_generators(random):
    g = mt.Generator(device="cuda").manual_seed(9)
    twin, packed = g.clone_state(), pickle.loads(pickle.dumps(g))
    drawn = mt.randn(4, device="cuda", generator=g).cpu()
    for other in (twin, packed, mt.Generator("cuda").manual_seed(9)):
        assert mt.equal(mt.randn(4, device="cuda", generator=other).cpu(), drawn)
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator but found 'cpu'"):
        mt.rand(3, device="cuda", generator=mt.Generator())
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda'"):
        mt.rand(3, generator=g)


def test_all_that_draws(random):
    x = mt.zeros(200, device="cuda")
    for fill in (x.uniform_, x.normal_, x.exponential_, x.bernoulli_, x.random_, x.cauchy_, x.log_normal_):
        mt.manual_seed(1)
        first = fill().cpu().clone()
        mt.manual_seed(1)
        assert mt.equal(fill().cpu(), first) and len(np.unique(first.numpy())) > 1 and x.is_cuda
    p = mt.ones(50, device="cuda") / 2
    for y in (mt.bernoulli(p), mt.poisson(p), mt.multinomial(p, 3), mt.randint(5, (3,), device="cuda"), mt.rand_like(x),
              mt.randperm(9, device="cuda"), mt.normal(0.0, 1.0, (3,), device="cuda"), mt.randn_like(x)):
        assert y.is_cuda
    matrix = mt.zeros(3, 4, device="cuda").t().uniform_()
    assert (matrix.cpu().numpy() != 0).all()


def test_a_captured_graph_reads_its_place(random):
    """What is launched while capturing reads seed and offset where `prepare` puts them, and so do the replays."""
    import cupy

    source, plain = random.Philox(21), random.Philox(21)
    source.uniform(3), plain.uniform(3)
    with source.capturing() as replays:
        out, second = source.uniform(6), source.normal(4)
        with pytest.raises(RuntimeError, match="cannot repeat"):
            source.cauchy(3)
    assert replays.drawn == 8 and source.get_state().tolist() == random.Philox(21).set_state(
        np.array([21, 4], np.uint64).view(np.uint8)).get_state().tolist()

    def replay():  # as the graph would: the same launches with the same arguments
        for kind, array, offset, b in (("Uniform", out, 0, 1), ("Normal", second, 4, 1)):
            numbers = np.float64(0), np.float64(b), np.uint64(0), np.uint64(offset)
            random.program.launch("numbers", (kind, "float"), (1,), (256,),
                                  (array, np.uint64(array.size), *numbers, replays.place))

    for _ in range(2):
        replays.prepare()
        replay()
        np.testing.assert_array_equal(out.get(), plain.uniform(6).get())
        np.testing.assert_array_equal(second.get(), plain.normal(4).get())
    assert cupy.asarray(source.get_state()).get().view(np.uint64).tolist() == [21, 20]


def test_bad_parameters(random):
    source = random.Philox()
    for draw in (lambda: source.uniform(3, np.float32, 2, 1), lambda: source.normal(3, np.float32, 0, -1),
                 lambda: source.exponential(3, np.float32, 0), lambda: source.bernoulli(1.5, 3),
                 lambda: source.randperm(-1), lambda: source.multinomial(np.ones((2, 3), np.float32), 0)):
        with pytest.raises(RuntimeError):
            draw()
    with pytest.raises(NotImplementedError):
        source.uniform(3, np.int64)
    with pytest.raises(AttributeError, match="'Philox' object has no attribute 'nothing'"):
        _ = source.nothing
