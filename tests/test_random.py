"""Random tensors: known values, generators and their states, dropout's draws and gradients."""
import copy
import pickle

import numpy as np
import pytest

import minitorch as mt
from minitorch.nn import functional as F


def test_known_values():
    """PyTorch's, from its documentation's favourite seed."""
    mt.manual_seed(0)
    np.testing.assert_allclose(mt.rand(3).numpy(), [0.49625659, 0.76822180, 0.08847743], rtol=1e-6)
    mt.manual_seed(0)
    np.testing.assert_allclose(mt.randn(3).numpy(), [1.54099607, -0.29342890, -2.17878938], rtol=1e-6)
    mt.manual_seed(0)
    assert mt.randperm(5).tolist() == [4, 0, 1, 3, 2]
    mt.manual_seed(0)
    assert mt.randint(10, (3,)).tolist() == [4, 9, 3]


def test_a_seed_repeats():
    def numbers():
        return [mt.rand(2).tolist(), mt.empty(3).normal_().tolist(), mt.bernoulli(mt.full((9,), 0.5)).tolist(),
                mt.multinomial(mt.ones(5), 3).tolist(), mt.poisson(mt.full((4,), 20.0)).tolist()]

    mt.manual_seed(3)
    first = numbers()
    mt.manual_seed(3)
    assert numbers() == first != numbers()
    assert mt.initial_seed() == 3


def test_states():
    mt.manual_seed(1)
    state = mt.get_rng_state()
    assert state.dtype is mt.uint8 and state.shape == (5056,)
    first = mt.randn(5).tolist()
    mt.set_rng_state(state)
    assert mt.randn(5).tolist() == first
    with pytest.raises(TypeError):
        mt.set_rng_state(state.numpy())
    with pytest.raises(RuntimeError):
        mt.set_rng_state(state[:-1])


def test_states_pass_to_and_from_pytorch(torch):
    mt.manual_seed(8)
    mt.rand(7)
    torch.set_rng_state(torch.from_numpy(mt.get_rng_state().numpy()))
    assert torch.rand(3).tolist() == mt.rand(3).tolist()
    torch.rand(2)
    mt.set_rng_state(mt.from_numpy(torch.get_rng_state().numpy()))
    assert torch.rand(3).tolist() == mt.rand(3).tolist()


def test_generators_are_independent():
    g, h = mt.Generator().manual_seed(5), mt.Generator().manual_seed(5)
    mt.manual_seed(0)
    expected = mt.rand(2).tolist()
    mt.manual_seed(0)
    assert mt.rand(3, generator=g).tolist() == mt.rand(3, generator=h).tolist()
    assert mt.rand(2).tolist() == expected  # the default generator was not touched
    for twin in (g.clone_state(), pickle.loads(pickle.dumps(g)), copy.deepcopy(g)):
        assert mt.randn(4, generator=twin).tolist() == mt.randn(4, generator=h.clone_state()).tolist()
    assert g.device == mt.device("cpu") and g.initial_seed() == 5
    assert isinstance(g.seed(), int)
    with pytest.raises(TypeError, match="generator"):
        mt.rand(2, generator=3)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
def test_shapes(shape):
    for t in (mt.rand(shape), mt.randn(shape), mt.randint(3, shape), mt.zeros(shape).uniform_(),
              mt.zeros(shape).random_(4)):
        assert t.shape == shape


def test_distributions():
    mt.manual_seed(0)
    n = 20000
    for t, mean, std in ((mt.rand(n), 0.5, 12**-0.5), (mt.randn(n), 0, 1), (mt.empty(n).exponential_(2.0), 0.5, 0.5),
                         (mt.empty(n).geometric_(0.25), 4, 12**0.5), (mt.poisson(mt.full((n,), 30.0)), 30, 30**0.5),
                         (mt.poisson(mt.full((n,), 3.0)), 3, 3**0.5), (mt.empty(n).bernoulli_(0.3), 0.3, 0.21**0.5),
                         (mt.normal(5.0, 2.0, (n,)), 5, 2), (mt.empty(n).log_normal_(0.0, 0.25), 1.0317, 0.262)):
        a = t.numpy().astype(float)
        assert abs(a.mean() - mean) < 5 * std / n**0.5 and abs(a.std() / std - 1) < 0.05


def test_in_place_on_leaves_and_views():
    leaf = mt.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.normal_()
    with mt.no_grad():
        leaf.uniform_(1, 2)
    assert all(1 <= v < 2 for v in leaf.tolist())
    base = mt.zeros(2, 3)
    base[1].fill_(5).add_(mt.ones(3))
    base[:, 0].uniform_(7, 8)
    assert base[0, 1:].tolist() == [0, 0] and base[1, 1:].tolist() == [6, 6] and all(base[:, 0] >= 7)


def test_dropout():
    mt.manual_seed(0)
    x = mt.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.2)
    kept = y.detach().numpy() != 0
    assert set(np.unique(y.detach().numpy())) == {0, 1.25} and 750 < kept.sum() < 850
    y.sum().backward()
    assert (x.grad.numpy() == kept * np.float32(1.25)).all()
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [0] * 1000
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(x, 1.5)


def test_feature_dropout_drops_channels():
    mt.manual_seed(0)
    y = F.dropout2d(mt.ones(4, 8, 3, 3), 0.5).numpy()
    assert set(np.unique(y)) == {0, 2} and (y == y[..., :1, :1]).all()
    with pytest.raises(RuntimeError, match="2 dimensions"):
        mt.feature_dropout(mt.ones(3), 0.5, True)


def test_alpha_dropout_keeps_mean_and_variance():
    mt.manual_seed(0)
    y = F.alpha_dropout(mt.randn(50000), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    x = mt.randn(5, dtype=mt.float64, requires_grad=True)
    mt.manual_seed(4)
    y = F.alpha_dropout(x, 0.5, training=True)
    y.sum().backward()
    alpha, p = 1.7580993408473766, 0.5
    a = ((1 - p) * (1 + p * alpha**2)) ** -0.5
    kept = x.grad.numpy() > 0
    expected = np.where(kept, a * x.detach().numpy() + a * alpha * p, a * (alpha * p - alpha))
    np.testing.assert_allclose(y.detach().numpy(), expected)


def test_rrelu():
    mt.manual_seed(0)
    x = mt.tensor([-1.0] * 200 + [2.0], requires_grad=True)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    slopes = -y.detach().numpy()[:-1]
    assert slopes.min() >= 0.1 and slopes.max() < 0.3 and y[-1].item() == 2
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[:-1], slopes)
