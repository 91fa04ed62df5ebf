"""Averaged models and their schedule, Adafactor and Muon: closed forms, and PyTorch beside them where installed."""
from __future__ import annotations

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.optim import SGD, Adafactor, Muon, swa_utils


def values(t):
    return t.detach().numpy()


def model_with(value):
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    for p in model.parameters():
        nn.init.constant_(p, value)
    return model


@pytest.mark.parametrize("options, expected", [
    ({}, 7 / 3), ({"avg_fn": swa_utils.get_swa_avg_fn()}, 7 / 3),
    ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 0.25 + 0.5 + 2.0),
    ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5), "use_buffers": True}, 0.25 + 0.5 + 2.0)])
def test_averaged_model(options, expected):
    averaged = swa_utils.AveragedModel(model_with(0.0), **options)
    for i, value in enumerate((1.0, 2.0, 4.0)):
        model = model_with(value)
        model[1].running_mean.fill_(value)
        averaged.update_parameters(model)
        assert averaged.n_averaged.item() == i + 1
    for p in averaged.module.parameters():
        np.testing.assert_allclose(values(p), expected, rtol=1e-6)
    np.testing.assert_allclose(values(averaged.module[1].running_mean), expected if "use_buffers" in options else 4.0)
    assert "module.0.weight" in averaged.state_dict() and averaged(mt.ones(2, 2)).shape == (2, 1)


def test_averaging_refuses():
    with pytest.raises(AssertionError):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=min, multi_avg_fn=max)
    with pytest.raises(ValueError):
        swa_utils.get_ema_avg_fn(1.1)
    optimizer = SGD([mt.ones(1, requires_grad=True)], lr=1.0)
    for options in ({"anneal_strategy": "log"}, {"anneal_epochs": -1}, {"swa_lr": [0.1, 0.2]}):
        with pytest.raises(ValueError):
            swa_utils.SWALR(optimizer, **{"swa_lr": 0.1, **options})


def test_update_bn_takes_the_mean_over_batches():
    model = nn.Sequential(nn.BatchNorm1d(2)).eval()
    batches = [mt.randn(4, 2) for _ in range(3)]
    swa_utils.update_bn([(x, 0) for x in batches], model)
    mean = np.mean([values(x).mean(0) for x in batches], 0)
    variance = np.mean([values(x).var(0, ddof=1) for x in batches], 0)
    np.testing.assert_allclose(values(model[0].running_mean), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values(model[0].running_var), variance, rtol=1e-5)
    assert not model.training and model[0].momentum == 0.1


@pytest.mark.parametrize("strategy, expected", [("linear", [0.775, 0.55, 0.325, 0.1, 0.1]),
                                                ("cos", [0.868198, 0.55, 0.231802, 0.1, 0.1])])
def test_swalr(strategy, expected):
    optimizer = SGD([mt.ones(1, requires_grad=True)], lr=1.0)
    schedule, rates = swa_utils.SWALR(optimizer, 0.1, anneal_epochs=4, anneal_strategy=strategy), []
    for _ in range(5):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    other = swa_utils.SWALR(SGD([mt.ones(1, requires_grad=True)], lr=1.0), 0.1, 4, strategy)
    other.load_state_dict(schedule.state_dict())
    assert other.last_epoch == 5


def test_adafactor_is_its_formula():
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((3, 4)), rng.standard_normal((2, 3, 4))
    w = mt.tensor(start, requires_grad=True)
    optimizer, p = Adafactor([w], lr=0.5, weight_decay=0.1), start.copy()
    row, column = np.zeros((3, 1)), np.zeros((1, 4))
    for step, g in enumerate(grads, 1):
        w.grad = mt.tensor(g)
        optimizer.step()
        rate = max(1e-3, np.sqrt((p ** 2).mean())) * min(0.5, step ** -0.5)
        new = step ** -0.8
        row += new * ((g ** 2).mean(1, keepdims=True) - row)
        column += new * ((g ** 2).mean(0, keepdims=True) - column)
        u = g / np.sqrt(row @ column / row.mean())
        p = p * (1 - 0.5 * 0.1) - rate * u / max(1, np.sqrt((u ** 2).mean()))
        np.testing.assert_allclose(values(w), p, rtol=1e-12)


@pytest.mark.parametrize("shape, how, ratio", [((6, 3), None, 2 ** 0.5), ((3, 6), "original", 1.0),
                                               ((4, 4), "match_rms_adamw", 0.4)])
def test_muon_takes_an_orthogonal_step(shape, how, ratio):
    rng = np.random.default_rng(0)
    w = mt.tensor(rng.standard_normal(shape), requires_grad=True)
    optimizer, before = Muon([w], lr=0.5, weight_decay=0.1, adjust_lr_fn=how), values(w).copy()
    w.grad = mt.tensor(rng.standard_normal(shape))
    optimizer.step()
    u, s, vt = np.linalg.svd((before * 0.95 - values(w)) / (0.5 * ratio), full_matrices=False)
    assert s.min() > 0.4 and s.max() < 1.3
    gu, _, gvt = np.linalg.svd(values(w.grad), full_matrices=False)
    np.testing.assert_allclose(u @ vt, gu @ gvt, atol=0.1)


def test_beside_pytorch(torch):
    results = []
    for library in (mt, torch):
        library.manual_seed(0)
        swa = library.optim.swa_utils if library is mt else pytest.importorskip("torch.optim.swa_utils")
        model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.Linear(4, 1))
        averages = [swa.AveragedModel(model), swa.AveragedModel(model, avg_fn=swa.get_ema_avg_fn(0.9)),
                    swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9), use_buffers=True)]
        optimizer = library.optim.SGD(model.parameters(), lr=0.2)
        schedule = swa.SWALR(optimizer, swa_lr=0.05, anneal_epochs=3)
        x = library.randn(8, 3)
        for _ in range(5):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            schedule.step()
            for average in averages:
                average.update_parameters(model)
        swa.update_bn([x[:4], x[4:]], averages[0])
        results.append(({key: t for average in averages for key, t in average.state_dict().items()},
                        schedule.get_last_lr()))
    assert list(results[0][0]) == list(results[1][0])
    for a, b in zip(results[0][0].values(), results[1][0].values()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(*[rates for _, rates in results])
