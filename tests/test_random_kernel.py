"""Random numbers are PyTorch's, bit for bit: by recorded figures and, where installed, by torch itself."""
import copy
import pickle
import subprocess
import sys
import threading
import zlib
from fractions import Fraction
from functools import partial

import minitorch_kernels.random as kernel
import numpy as np
import pytest
from minitorch_kernels.mt19937 import Twister
from minitorch_kernels.random import Generator
from minitorch_kernels.rounding import affine, narrowed

WEIGHTS = np.arange(1, 101, dtype=np.float32)
I64, F64, F16 = np.int64, np.float64, np.float16

# name: (our call, torch's call, first three and last value, CRC-32 of all bytes), recorded with torch 2.13
# and seed 42; without CRC where the C library's last bits enter
RECORDS = {
    "uniform": (lambda g: g.uniform(1000), lambda t: t.rand(1000),
        [0.88226926, 0.91500396, 0.38286376, 0.029657006], 3579030519),
    "uniform float64": (lambda g: g.uniform(1000, F64), lambda t: t.rand(1000, dtype=t.float64),
        [0.05815448596142969, 0.06291016742457756, 0.12358607277440903, 0.4198258024695729], 756739536),
    "uniform float16": (lambda g: g.uniform(1000, F16), lambda t: t.rand(1000, dtype=t.float16),
        [0.8823, 0.915, 0.3828, 0.02966], 3533173035),
    "uniform bounds": (lambda g: g.uniform(1000, low=-0.3, high=0.5),
        lambda t: t.empty(1000).uniform_(-0.3, 0.5),
        [0.40581542, 0.43200317, 0.0062910006, -0.2762744], 3474377464),
    "uniform float64 bounds": (lambda g: g.uniform(1000, F64, -0.3, 0.5),
        lambda t: t.empty(1000, dtype=t.float64).uniform_(-0.3, 0.5),
        [-0.25347641123085624, -0.24967186606033795, -0.20113114178047276, 0.03586064197565835], 3593470866),
    "normal of 15": (lambda g: g.normal(15), lambda t: t.randn(15),
        [0.33669037, 0.1288094, 0.23446237, -0.9889599], None),
    "normal of 16": (lambda g: g.normal(16), lambda t: t.randn(16),
        [1.9269153, 1.4872841, 0.9007172, 0.7624454], 2280516957),
    "normal of 1000": (lambda g: g.normal(1000), lambda t: t.randn(1000),
        [1.9269153, 1.4872841, 0.9007172, -0.8534544], 2288653614),
    "normal of 100003": (lambda g: g.normal(100_003), lambda t: t.randn(100_003),
        [1.9269153, 1.4872841, 0.9007172, -0.23137747], 284359501),
    "normal mean, std": (lambda g: g.normal(1000, mean=0.3, std=1.7),
        lambda t: t.empty(1000).normal_(0.3, 1.7),
        [3.575756, 2.828383, 1.8312193, -1.1508725], 1728296327),
    "normal float64 of 15": (lambda g: g.normal(15, F64), lambda t: t.randn(15, dtype=t.float64),
        [0.33669035438385886, 0.1288094051365897, 0.23446236336153173, -0.9889598811465726], None),
    "normal float64": (lambda g: g.normal(1000, F64), lambda t: t.randn(1000, dtype=t.float64),
        [0.2995562877502637, 0.24237779080894106, 0.28320739441795323, -0.31288123226120956], None),
    "normal float16": (lambda g: g.normal(1000, F16), lambda t: t.randn(1000, dtype=t.float16),
        [1.927, 1.487, 0.901, 0.2269], 146828042),
    "exponential": (lambda g: g.exponential(1000, lambd=2), lambda t: t.empty(1000).exponential_(2),
        [0.029957008, 0.032488063, 0.06595839, 0.27221343], None),
    "cauchy": (lambda g: g.cauchy(1000, median=0.3, sigma=1.7), lambda t: t.empty(1000).cauchy_(0.3, 1.7),
        [-8.901228, -8.189292, -3.8562863, -0.13747762], None),
    "log_normal": (lambda g: g.log_normal(1000, mean=0.3, std=1.1),
        lambda t: t.empty(1000).log_normal_(0.3, 1.1),
        [1.9549397, 1.5553341, 1.747015, 2.437748], None),
    "geometric": (lambda g: g.geometric(1000, I64, 0.1),
        lambda t: t.empty(1000, dtype=t.int64).geometric_(0.1),
        [27, 27, 20, 9], 965090550),
    "randint": (lambda g: g.randint(0, 10, 1000), lambda t: t.randint(0, 10, (1000,)),
        [2, 7, 6, 8], 2212740668),
    "randint one word": (lambda g: g.randint(-5, 2**28 - 6, 1000),
        lambda t: t.randint(-5, 2**28 - 6, (1000,)),
        [266460262, 199900602, 56755046, 67606428], 515771540),
    "randint two words": (lambda g: g.randint(-5, 2**28 - 5, 1000),
        lambda t: t.randint(-5, 2**28 - 5, (1000,)),
        [199900590, 250975497, 127521858, 91485675], 3701090553),
    "randint wide": (lambda g: g.randint(-(2**62), 2**62, 1000),
        lambda t: t.randint(-(2**62), 2**62, (1000,)),
        [2297359619001564595, 3702525538111689998, -332153208042826681, 3615668355806262768], 715663987),
    "random_ float32": (lambda g: g.random_(1000), lambda t: t.empty(1000).random_(),
        [1.4801927e+07, 1.5351016e+07, 6.423145e+06, 497446.0], 4278563834),
    "random_ int64": (lambda g: g.random_(1000, I64), lambda t: t.empty(1000, dtype=t.int64).random_(),
        [6909045637428952499, 8314211556539077902, 4279532810384561223, 8227354374233650672], 1425370434),
    "random_ uint8": (lambda g: g.random_(1000, np.uint8), lambda t: t.empty(1000, dtype=t.uint8).random_(),
        [102, 179, 92, 154], 2165061042),
    "random_ all of int64": (lambda g: g.random_(1000, I64, -(2**63)),
        lambda t: t.empty(1000, dtype=t.int64).random_(-(2**63), None),
        [6909045637428952499, -909160480315697906, -4943839226470214585, 8227354374233650672], 3620969778),
    "randperm of 10": (lambda g: g.randperm(10), lambda t: t.randperm(10),
        [2, 6, 1, 7], 2114975873),
    "randperm of 1000": (lambda g: g.randperm(1000), lambda t: t.randperm(1000),
        [542, 618, 816, 455], 441664704),
    "randperm of 100000": (lambda g: g.randperm(100_000), lambda t: t.randperm(100_000),
        [37542, 60279, 68544, 53243], 1323976458),
    "multinomial": (lambda g: g.multinomial(WEIGHTS, 1000, True),
        lambda t: t.multinomial(t.arange(1.0, 101), 1000, True),
        [23, 24, 34, 64], 2879667179),
    "multinomial distinct": (lambda g: g.multinomial(WEIGHTS, 50),
        lambda t: t.multinomial(t.arange(1.0, 101), 50),
        [75, 88, 60, 77], 3002044231),
    "multinomial of one": (lambda g: g.multinomial(np.tile(WEIGHTS, (10, 1)), 1, True),
        lambda t: t.multinomial(t.arange(1.0, 101).repeat(10, 1), 1, True),
        [75, 29, 97, 25], 3045485507),
    "bernoulli by array": (lambda g: g.bernoulli(WEIGHTS / 100),
        lambda t: t.bernoulli(t.arange(1.0, 101) / 100),
        [0.0, 0.0, 0.0, 1.0], 1338927203),
}

BERNOULLI = {  # (p, n): number of ones and CRC-32 of all, recorded likewise
    (0.1, 1): (1, 2768625435),
    (0.1, 1_000): (115, 3849926899),
    (0.1, 1_000_003): (99756, 2363369008),
    (0.5, 1): (1, 2768625435),
    (0.5, 1_000): (507, 198731499),
    (0.5, 1_000_003): (500214, 3610769102),
    (0.8, 1): (1, 2768625435),
    (0.8, 1_000): (817, 2658696843),
    (0.8, 1_000_003): (799670, 3889383707),
}


def crc(x):
    return zlib.crc32(np.ascontiguousarray(x).tobytes())


@pytest.mark.parametrize("name", RECORDS)
def test_recorded_values(name):
    ours, _, values, checksum = RECORDS[name]
    x = ours(Generator(42))
    got = x.reshape(-1)[[0, 1, 2, -1]]
    if checksum is None:
        np.testing.assert_allclose(got, np.array(values, x.dtype), rtol=16 * np.finfo(x.dtype).eps)
    else:
        assert got.tolist() == np.array(values, x.dtype).tolist()
        assert crc(x) == checksum


@pytest.mark.parametrize("name", RECORDS)
def test_recorded_calls_in_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs, _, checksum = RECORDS[name]
    torch.manual_seed(42)
    expected = theirs(torch).numpy()
    x = ours(Generator(42))
    assert (x.dtype, x.shape) == (expected.dtype, expected.shape)
    if checksum is None:
        np.testing.assert_allclose(x, expected, rtol=1e-15 if x.dtype == F64 else 0, atol=1e-15)
    else:
        assert x.tobytes() == expected.tobytes()


@pytest.mark.parametrize("p, n", BERNOULLI)
def test_bernoulli_recorded(p, n):
    x = Generator(42).bernoulli(p, n)
    assert (x.dtype, x.shape) == (np.float32, (n,))
    assert (int(x.sum()), crc(x.astype(np.uint8))) == BERNOULLI[p, n]


@pytest.mark.parametrize("p, n", BERNOULLI)
def test_bernoulli_and_dropout_in_torch(p, n):
    torch = pytest.importorskip("torch")
    torch.manual_seed(42)
    g = Generator(42)
    assert np.array_equal(g.bernoulli(p, n), torch.empty(n).bernoulli_(p).numpy())
    dropped = torch.nn.functional.dropout(torch.ones(n), 1 - p).numpy()
    assert np.array_equal(g.bernoulli(1 - (1 - p), n, np.bool_), dropped != 0)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 2047, 2048, 2049, 5000, 140_001])
def test_bernoulli_as_bits(p, n):
    """The same numbers as without, packed; and as many words are used, which the next numbers show."""
    g, h = Generator(7), Generator(7)
    for _ in range(2):
        bits = g.bernoulli_bits(p, n)
        assert bits.dtype == np.uint8 and bits.shape == (-(-n // 8),)
        assert np.array_equal(bits, np.packbits(h.bernoulli(np.full(n, p)) > 0, bitorder="little"))
        assert np.array_equal(g.random_raw32(3), h.random_raw32(3))
    restored = Generator().set_state(g.get_state())
    assert np.array_equal(restored.bernoulli_bits(p, 5000), g.bernoulli_bits(p, 5000))


SHAPES = [(), (0,), (1,), (3, 5), (16,), (31,), (2, 0, 3), (7, 9, 11)]
FLOATS = ["float32", "float64", "float16", "bfloat16"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_long_sequence_of_calls_in_torch(dtype):
    """Every kind of call in turn, so that each depends on what the ones before consumed and left waiting."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch, dtype)
    ours = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)
    g = Generator(3)
    t = torch.Generator().manual_seed(3)
    empty = partial(torch.empty, dtype=theirs)

    def check(x, y, exact=True):
        assert (x.dtype, x.shape) == (ours if y.is_floating_point() else np.int64, tuple(y.shape))
        x, y = x.astype(F64), y.double().numpy()
        np.testing.assert_allclose(x, y, rtol=0 if exact or x.size < 16 else 1e-14)

    for shape in SHAPES:
        libm = dtype != "float64"
        check(g.uniform(shape, ours), torch.rand(shape, dtype=theirs, generator=t))
        check(g.uniform(shape, ours, -0.3, 0.5), empty(shape).uniform_(-0.3, 0.5, generator=t))
        check(g.normal(shape, ours), torch.randn(shape, dtype=theirs, generator=t), libm)
        check(g.normal(shape, ours, 0.3, 1.7), empty(shape).normal_(0.3, 1.7, generator=t), libm)
        check(g.exponential(shape, ours, 1.7), empty(shape).exponential_(1.7, generator=t), libm)
        check(g.cauchy(shape, ours, 0.3, 2), empty(shape).cauchy_(0.3, 2, generator=t), libm)
        check(g.log_normal(shape, ours, 0.3, 1), empty(shape).log_normal_(0.3, 1, generator=t), libm)
        check(g.geometric(shape, ours, 0.3), empty(shape).geometric_(0.3, generator=t))
        check(g.bernoulli(0.3, shape, ours), empty(shape).bernoulli_(0.3, generator=t))
        p = torch.rand(shape, dtype=theirs)
        check(g.bernoulli(p.double().numpy().astype(ours)), torch.bernoulli(p, generator=t))
        check(g.random_(shape, ours), empty(shape).random_(generator=t))
        check(g.random_(shape, ours, -20, 100), empty(shape).random_(-20, 100, generator=t))
        check(g.random_(shape, ours, 3), empty(shape).random_(3, None, generator=t))
    for shape in [(5,), (300,), (4, 7), (1, 9), (0, 4)]:
        p = torch.rand(shape, dtype=theirs, generator=t)
        g.uniform(shape, ours)
        q = p.double().numpy().astype(ours)
        for k in (1, 3, 40):
            check(g.multinomial(q, k, True), torch.multinomial(p, k, True, generator=t))
        check(g.multinomial(q, 1), torch.multinomial(p, 1, generator=t))
        if ours.itemsize > 2:
            check(g.multinomial(q, 4), torch.multinomial(p, 4, generator=t))
    if dtype != "float64":  # the waiting normal number passed through NumPy's log1p
        assert np.array_equal(g.random_raw32(5), g.clone().set_state(t.get_state().numpy()).random_raw32(5))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers_in_torch(dtype):
    torch = pytest.importorskip("torch")
    g, t = Generator(5), torch.Generator().manual_seed(5)
    ours, theirs = np.dtype(dtype), getattr(torch, dtype)
    empty = partial(torch.empty, dtype=theirs)
    for shape in SHAPES:
        for bounds in [(None, None), (0, None), (1, None), (0, 2)]:
            y = empty(shape).random_(*(() if bounds == (None, None) else bounds), generator=t)
            x = g.random_(shape, ours, *bounds)
            assert x.dtype == ours and np.array_equal(x, y.numpy())
        assert np.array_equal(g.bernoulli(0.3, shape, ours), empty(shape).bernoulli_(0.3, generator=t))
    if dtype == "int64":
        for bounds in [(0, 2**28 - 1), (0, 2**28), (-(2**63), 2**63 - 1), (2**62, 2**63 - 1), (-3, 4)]:
            y = torch.randint(*bounds, (5, 7), generator=t)
            assert np.array_equal(g.randint(*bounds, (5, 7)), y.numpy())
        y = torch.empty(9, dtype=theirs).random_(-(2**63), None, generator=t)
        assert np.array_equal(g.random_(9, ours, -(2**63)), y.numpy())
    if dtype != "bool":
        assert np.array_equal(g.randperm(100, ours), torch.randperm(100, dtype=theirs, generator=t).numpy())


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000, 100_000, 150_000])
def test_randperm_in_torch(n):
    torch = pytest.importorskip("torch")
    g, t = Generator(6), torch.Generator().manual_seed(6)
    assert np.array_equal(g.randperm(n), torch.randperm(n, generator=t).numpy())
    assert np.array_equal(g.get_state(), t.get_state().numpy())


def test_randperm_compiled_and_not(monkeypatch):
    for coarse in (kernel._WORD_IS_COARSE, 10):
        monkeypatch.setattr(kernel, "_WORD_IS_COARSE", coarse)
        monkeypatch.setattr(kernel, "_WORTH_COMPILING", 1 << 17)
        plain = Generator(1).randperm(1000)
        assert sorted(plain) == list(range(1000))
        monkeypatch.setattr(kernel, "_WORTH_COMPILING", 0)
        assert np.array_equal(plain, Generator(1).randperm(1000))
    inside_out = []  # the textbook form of the second variant, of which torch only takes n >= 2^32 / 20
    for i, word in enumerate(Generator(1).random_raw64(1000).tolist()):
        j = word % (i + 1)
        inside_out.append(i)
        inside_out[i], inside_out[j] = inside_out[j], i
    assert plain.tolist() == inside_out


def test_words():
    """The 10000th word of the default mt19937, which the C++ standard prescribes ([rand.predef])."""
    assert Twister(5489).words(10_000)[-1] == 4123659995
    low, high = Generator(5489).random_raw32(2).tolist()
    assert Generator(5489).random_raw64(1).tolist() == [low << 32 | high]
    whole, parts = Generator(9).random_raw32(3000), Generator(9)
    assert np.array_equal(whole, np.concatenate([parts.random_raw32(n) for n in (0, 1, 623, 624, 1752)]))


def test_seeds():
    assert Generator().initial_seed() == 67280421310721
    g = Generator(1).manual_seed(-1)
    assert g.initial_seed() == 2**64 - 1
    assert np.array_equal(g.random_raw32(3), Generator(2**32 - 1).random_raw32(3))  # the lower 32 bits count
    seed = g.seed()
    assert g.initial_seed() == seed and np.array_equal(g.uniform(3), Generator(seed).uniform(3))
    assert Generator(np.int64(7)).initial_seed() == 7


@pytest.mark.parametrize("draw", [lambda g: None, lambda g: g.random_raw32(1), lambda g: g.random_raw32(623),
                                  lambda g: g.random_raw32(624), lambda g: g.random_raw32(625),
                                  lambda g: g.normal(3), lambda g: g.normal(0)])
def test_state_round_trips(draw):
    g = Generator(11)
    draw(g)
    state = g.get_state()
    assert (state.dtype, state.shape) == (np.uint8, (5056,))
    others = [Generator(1).set_state(state), g.clone(), copy.deepcopy(g), pickle.loads(pickle.dumps(g))]
    expected = [g.initial_seed(), g.normal(4).tolist(), g.uniform(5).tolist()]
    for other in others:
        assert np.array_equal(other.get_state(), state)
        assert [other.initial_seed(), other.normal(4).tolist(), other.uniform(5).tolist()] == expected


@pytest.mark.parametrize("n, checksum", [
    (0, 3998256470), (1, 2723842147), (624, 276332244), (1000, 1690001495)])
def test_state_recorded(n, checksum):
    g = Generator(42)
    g.uniform(n)
    assert crc(g.get_state()) == checksum


@pytest.mark.parametrize("n", [0, 1, 3, 15, 623, 624, 625])
def test_state_is_torchs(n):
    torch = pytest.importorskip("torch")
    g, t = Generator(-7), torch.Generator().manual_seed(-7)
    if n % 2 and n < 16:
        g.normal(n), torch.randn(n, generator=t)  # leaves a normal number waiting
    else:
        g.uniform(n), torch.rand(n, generator=t)
    assert np.array_equal(g.get_state(), t.get_state().numpy())
    t.set_state(torch.from_numpy(g.get_state()))
    assert g.normal(4).tolist() == torch.randn(4, generator=t).tolist()


def test_the_waiting_normal_number():
    g = Generator(42)
    first = np.concatenate([g.normal(3), g.normal(2)])
    assert np.array_equal(first, Generator(42).normal(5))
    g = Generator(42)
    g.normal(1)
    g.normal(16)  # neither takes it
    assert g.normal(1) == first[1]
    g.normal(1)
    assert g.manual_seed(42).normal(1) == first[0]  # a new seed drops it


def test_normal_draws_the_last_sixteen_anew():
    u = Generator(2).uniform(20 + 16)
    from minitorch_kernels.box_muller import box_muller

    expected = np.concatenate([box_muller(u[:16], 0, 1)[:4], box_muller(u[20:], 0, 1)])
    assert np.array_equal(Generator(2).normal((4, 5)).ravel(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_is_box_mullers_transform(dtype):
    """Against float64 arithmetic; -log loses relative accuracy near u = 0, where the radius is 0."""
    u = Generator(2).uniform(3200, dtype).astype(F64).reshape(-1, 2, 8)
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel() * 1.7 + 0.3
    got = Generator(2).normal(3200, dtype, 0.3, 1.7)
    np.testing.assert_allclose(got, expected, atol=20 * np.finfo(dtype).eps)


def test_complex_numbers():
    x = Generator(1).normal((3, 4), np.complex64)
    assert x.shape == (3, 4)
    np.testing.assert_array_equal(x.view(np.float32).ravel(), Generator(1).normal(24, std=0.5**0.5))
    assert Generator(1).uniform((), np.complex128).shape == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_affine_rounds_once(dtype):
    g = Generator(4)
    x = g.normal(300, dtype)
    for scale, shift in [(1, 0.3), (0.7, 0), (0.1, -0.3), (-1.7, 1e-3), (3e5, 0.1)]:
        a, b = Fraction(float(dtype(scale))), Fraction(float(dtype(shift)))
        exact = [Fraction(v) * a + b for v in x.tolist()]
        got = affine(x, scale, shift)
        for y, e in zip(got, exact, strict=True):
            assert abs(Fraction(float(y)) - e) <= Fraction(float(np.spacing(abs(y)))) / 2
    assert np.isfinite(affine(np.array([0.5]), 1.5e308, -1e308)).all()


def test_uniform_never_reaches_high():
    x = Generator(1).uniform(200_000, F16, 1, 2)  # 24 bits round up to 2 in float16 now and then
    assert x.min() >= 1 and x.max() < 2
    assert Generator(1).uniform(5, low=2, high=2).tolist() == [2] * 5


def test_narrowed_ends_stay_inside():
    for low, high in [(0, 65504), (-3001, 20001), (-65504, 4097), (-5, 2048)]:
        a, b = narrowed(low, high, np.dtype(F16))
        assert low <= a < b <= high
        assert low <= float(F16(a)) and float(F16(b - 1)) < high
    assert narrowed(-5, 2048, np.dtype(F16)) == (-5, 2048)
    assert narrowed(-5, 10**6, np.dtype(I64)) == (-5, 10**6)


def test_multinomial_frequencies():
    p = np.array([[1, 0, 3, 4], [2, 2, 0, 0]], F64)
    counts = [np.bincount(row, minlength=4) / 40_000 for row in Generator(1).multinomial(p, 40_000, True)]
    np.testing.assert_allclose(counts, p / p.sum(1, keepdims=True), atol=0.01)
    assert np.sort(Generator(1).multinomial(np.ones(7), 7)).tolist() == list(range(7))
    assert Generator(1).multinomial(np.array([0.0, 1, 0]), 3).tolist() == [1, 0, 2]
    first = [int(g.multinomial(p[0], 2)[0]) for g in [Generator(1)] for _ in range(4000)]
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 4000, p[0] / 8, atol=0.03)


def test_threads_share_one_stream(monkeypatch):
    monkeypatch.setattr(kernel, "_PIECE", 16)  # so that an array takes many draws
    g, taken = Generator(8), []
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def draw():
        for _ in range(20):
            taken.append(g.uniform(700))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.setswitchinterval(before)
    whole = Generator(8).uniform((80, 700))
    assert sorted(x.tobytes() for x in taken) == sorted(x.tobytes() for x in whole)


def test_import_is_light():
    code = "import sys, minitorch_kernels.random as r; r.Generator(1); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "minitorch_kernels.random" in loaded
    assert not {"numba", "numpy.random", "ml_dtypes"} & set(loaded)


BAD = {
    "seed of no integer": (RuntimeError, "seed", lambda g: g.manual_seed(1.5)),
    "seed too large": (ValueError, "2\\^64", lambda g: g.manual_seed(2**64)),
    "seed too small": (ValueError, "2\\^63", lambda g: g.manual_seed(-(2**63) - 1)),
    "state of floats": (TypeError, "uint8", lambda g: g.set_state(np.zeros(5056))),
    "state too short": (RuntimeError, "5056 bytes, got 10", lambda g: g.set_state(np.zeros(10, np.uint8))),
    "state of zeros": (RuntimeError, "invalid", lambda g: g.set_state(np.zeros(5056, np.uint8))),
    "uniform in int64": (NotImplementedError, "uniform.*int64", lambda g: g.uniform(3, I64)),
    "uniform reversed": (RuntimeError, "low=1, high=0", lambda g: g.uniform(3, low=1, high=0)),
    "uniform of nan": (RuntimeError, "low=nan", lambda g: g.uniform(3, low=np.nan)),
    "uniform too wide": (RuntimeError, "bounds", lambda g: g.uniform(3, F16, -40_000, 40_000)),
    "normal in int64": (NotImplementedError, "normal.*int64", lambda g: g.normal(3, I64)),
    "normal std": (RuntimeError, "std=-1", lambda g: g.normal(3, std=-1)),
    "log_normal std": (RuntimeError, "std=0", lambda g: g.log_normal(3, std=0)),
    "log_normal in int64": (NotImplementedError, "log_normal", lambda g: g.log_normal(3, I64)),
    "exponential lambd": (RuntimeError, "lambd=0", lambda g: g.exponential(3, lambd=0)),
    "exponential in int64": (NotImplementedError, "exponential", lambda g: g.exponential(3, I64)),
    "cauchy sigma": (RuntimeError, "sigma=0", lambda g: g.cauchy(3, sigma=0)),
    "cauchy in int64": (NotImplementedError, "cauchy", lambda g: g.cauchy(3, I64)),
    "geometric p": (RuntimeError, "p=1", lambda g: g.geometric(3, p=1)),
    "bernoulli p": (RuntimeError, "p=1.5", lambda g: g.bernoulli(1.5, 3)),
    "bernoulli p, empty": (RuntimeError, "p=1.5", lambda g: g.bernoulli(1.5, 0)),
    "bernoulli array": (RuntimeError, "outside", lambda g: g.bernoulli(np.array([0.5, np.nan]))),
    "bernoulli of integers": (NotImplementedError, "int64", lambda g: g.bernoulli(np.array([1]))),
    "randint empty range": (RuntimeError, "low=3, high=3", lambda g: g.randint(3, 3, 2)),
    "randint above uint8": (RuntimeError, "bounds.*uint8", lambda g: g.randint(0, 257, 2, np.uint8)),
    "randint below uint8": (RuntimeError, "bounds.*uint8", lambda g: g.randint(-1, 2, 2, np.uint8)),
    "randint above float16": (RuntimeError, "bounds.*float16", lambda g: g.randint(0, 70_000, 2, F16)),
    "randint in complex64": (NotImplementedError, "complex64", lambda g: g.randint(0, 7, 2, np.complex64)),
    "randperm of -1": (RuntimeError, "n=-1", lambda g: g.randperm(-1)),
    "randperm in int8": (RuntimeError, "n=300.*int8", lambda g: g.randperm(300, np.int8)),
    "multinomial of integers": (NotImplementedError, "int64", lambda g: g.multinomial(np.array([1, 2]), 1)),
    "multinomial of a cube": (RuntimeError, "2, 2, 2", lambda g: g.multinomial(np.ones((2, 2, 2)), 1)),
    "multinomial of none": (RuntimeError, "num_samples > 0", lambda g: g.multinomial(np.ones(2), 0)),
    "multinomial of too many": (RuntimeError, "num_samples=3", lambda g: g.multinomial(np.ones(2), 3)),
    "multinomial below 0": (RuntimeError, "negative", lambda g: g.multinomial(np.array([-1.0, 2]), 1, True)),
    "multinomial of inf": (RuntimeError, "inf", lambda g: g.multinomial(np.array([np.inf, 2]), 1)),
    "multinomial of zeros": (RuntimeError, "sum > 0", lambda g: g.multinomial(np.zeros((1, 2)), 1)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    error, message, call = BAD[name]
    g = Generator(1)
    with pytest.raises(error, match=message):
        call(g)
    assert np.array_equal(g.get_state(), Generator(1).get_state())  # nothing was drawn
