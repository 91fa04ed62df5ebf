"""The examples on a few made-up images: some steps of each, and that its parts do what they say."""
from __future__ import annotations

import numpy as np
import pytest

import minitorch as mt
from minitorch.nn import functional as F

pytest.importorskip("tqdm")

from minitorch.examples import darts, data, distill, gan, options, resnet_cifar, transfer, vae


@pytest.fixture(autouse=True)
def seed():
    mt.manual_seed(0)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Two steps are too few to compile anything; what compiling does is tested elsewhere."""
    monkeypatch.setattr(mt, "compile", lambda function: function)


def photographs(n):
    return mt.randint(0, 256, (n, 3, 32, 32)).to(mt.uint8), mt.arange(n) % 10


def digits(n):
    return mt.rand(n, 1, 28, 28), mt.arange(n) % 10


def test_the_command_line(tmp_path):
    arguments = ["--epochs", "3", "--out", str(tmp_path / "new"), "--resume"]
    chosen = options.options("text", arguments, epochs=9, resume=False)
    assert (chosen.epochs, chosen.resume, chosen.data, chosen.seed) == (3, True, "data", 0)
    assert (tmp_path / "new").is_dir()


def test_pictures(tmp_path):
    pytest.importorskip("PIL")
    options.save_grid(tmp_path / "grid.png", mt.zeros(3, 1, 4, 4))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    pytest.importorskip("matplotlib")
    options.picture(tmp_path / "plot.png", lambda plt, figure: figure.subplots().plot([1, 2]), figsize=(2, 1))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_package_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    options.picture(tmp_path / "plot.png", lambda plt, figure: None)
    assert "plot.png: it needs matplotlib" in capsys.readouterr().out


def test_data_from_files(tmp_path):
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        rows = rng.integers(0, 256, (2, 3073), np.uint8)
        rows[:, 0] = 1, 9
        rows.tofile(tmp_path / f"{name}.bin")
    images, labels = data.cifar10(str(tmp_path), train=False)
    assert images.dtype is mt.uint8 and labels.tolist() == [1, 9]
    assert np.array_equal(images.numpy().reshape(2, -1), rows[:, 1:])
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for kind in ("train", "t10k"):
        pixels = rng.integers(0, 256, (3, 28, 28), np.uint8)
        header = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28])
        (raw / f"{kind}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (raw / f"{kind}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 4, 5, 6]))
    images, labels = data.mnist(str(tmp_path), train=False)
    assert labels.tolist() == [4, 5, 6] and labels.dtype is mt.int64
    assert np.allclose(images.numpy()[:, 0] * 255, pixels)


def test_resnet_is_the_papers():
    """Its 0.27 million parameters; a block's shortcut alone, for the branch of a fresh block is set to 0."""
    assert sum(p.numel() for p in resnet_cifar.ResNet().parameters()) == 269_722
    block = resnet_cifar.Block(4, 8).eval()
    x = mt.randn(2, 4, 6, 6)
    with mt.no_grad():
        for module in (block.bn1, block.bn2):
            module.weight.zero_()
    expected = np.zeros((2, 8, 3, 3), np.float32)
    expected[:, 2:6] = np.maximum(x.numpy()[:, :, ::2, ::2], 0)
    assert np.array_equal(block(x).detach().numpy(), expected)


def test_augmented_images_are_crops():
    images, _ = photographs(3)
    batch = resnet_cifar.Augmented(images)[mt.tensor([2, 0, 1, 1])]
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    for x, i in zip(batch, (2, 0, 1, 1)):
        pixels = (x * resnet_cifar.STD + resnet_cifar.MEAN).round().to(mt.uint8).numpy()
        assert any(np.array_equal(pixels, crop) for down in range(9) for right in range(9)
                   for crop in [padded[i, :, down:down + 32, right:right + 32],
                                padded[i, :, down:down + 32, right:right + 32][..., ::-1]])


def test_resnet_resumes(tmp_path, monkeypatch):
    """Stopped after the first of two epochs and gone on: the same as never stopped."""
    monkeypatch.setattr(resnet_cifar, "BATCH", 8)
    images, labels = photographs(16)
    path = tmp_path / "checkpoint.pt"

    def run(resume=False):
        mt.manual_seed(1)
        model = resnet_cifar.ResNet(1, width=4)
        history = resnet_cifar.train(model, images, labels, (images, labels), 2, path, resume)
        return history, model.fc.weight.tolist()

    class Stop(Exception):
        pass

    def stop(state, path, save=mt.save):
        save(state, path)
        raise Stop

    whole = run()
    with monkeypatch.context() as m:
        m.setitem(vars(mt), "save", stop)
        with pytest.raises(Stop):
            run()
    assert run(resume=True) == whole
    assert len(whole[0]) == 2 and all(np.isfinite(epoch["loss"]) for epoch in whole[0])


def test_resnet_picture(tmp_path):
    pytest.importorskip("matplotlib")
    history = [{"loss": 2.0, "accuracy": 0.1}, {"loss": 1.0, "accuracy": 0.2}]
    resnet_cifar.draw(tmp_path / "x.png", history, resnet_cifar.ResNet(1, width=4), *photographs(12))
    assert (tmp_path / "x.png").exists()


def test_transfer(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "ResNet", lambda: resnet_cifar.ResNet(1, width=4))
    monkeypatch.setattr(transfer, "learning", lambda *a, learning=transfer.learning: once(learning(*a)))
    state = resnet_cifar.ResNet(1, width=4).state_dict()
    images, labels = digits(40)
    scores = transfer.compare(state, images, labels, (images[:10], labels[:10]), shots=(1, 2))
    assert list(scores) == ["frozen", "fine-tuned", "from scratch"] and all(len(s) == 2 for s in scores.values())
    chosen = transfer.few_of_each(labels, 3)
    assert sorted(labels[chosen].tolist()) == sorted(3 * list(range(10))) and len(set(chosen.tolist())) == 30


def once(step):
    """A training step that is taken the first two times it is called."""
    calls = iter([step, step])
    return lambda *args: next(calls, lambda *args: None)(*args)


def test_frozen_leaves_the_network():
    model, (x, y) = resnet_cifar.ResNet(1, width=4), digits(10)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    head = transfer.frozen(model, x, y, steps=2)
    assert all(mt.equal(t, before[name]) for name, t in model.state_dict().items())
    assert head.weight.shape == (10, 16)


def test_vae(tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setattr(vae, "BATCH", 10)
    images, labels = digits(20)
    model = vae.VAE(size=3, hidden=8)
    losses = vae.train(model, images, images, epochs=20)
    assert losses[-1] < losses[0] - 1
    path = vae.walk(model, images[:4], steps=5)
    assert path.shape == (3, 5, 1, 28, 28)
    mean, _ = model.encode(images[:4])
    assert mt.allclose(path[1, 0], model.decode(mean[1:2])[0], atol=1e-6)
    assert mt.allclose(path[1, 1], model.decode(mean[1:2] * 0.75 + mean[2:3] * 0.25)[0], atol=1e-6)
    vae.draw(tmp_path, model, images, labels)
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_vae_loss():
    """-ELBO by its definition: log-likelihoods for the same noise, and the KL divergence by quadrature."""
    model, x = vae.VAE(size=3, hidden=8), mt.rand(5, 1, 28, 28)
    mt.manual_seed(3)
    loss = model.loss(x).item()
    mt.manual_seed(3)
    mean, log_variance = (t.detach().numpy().astype(float) for t in model.encode(x))
    deviation = np.exp(log_variance / 2)
    z = mean + deviation * mt.randn(5, 3).numpy()
    p = model.decode(mt.from_numpy(z.astype(np.float32))).detach().numpy()
    description = -np.sum(x.numpy() * np.log(p) + (1 - x.numpy()) * np.log(1 - p))
    t = np.linspace(-12, 12, 4001)
    log_q = -0.5 * ((t - mean[..., None]) / deviation[..., None]) ** 2 - np.log(deviation)[..., None]
    kl = np.sum(np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q + t ** 2 / 2)) * (t[1] - t[0])
    assert kl > 0.01 and abs(loss - (description + kl) / 5) < 1e-5 * loss


def test_gan(monkeypatch):
    monkeypatch.setattr(gan, "BATCH", 8)
    images, labels = digits(16)
    forger, critic = gan.generator(4), gan.discriminator(4)
    made = gan.train(forger, critic, 2 * images - 1, steps=3)
    assert [m.shape for m in made] == [(10, 1, 28, 28)] * 3 and made[0].abs().max() <= 1
    monkeypatch.setattr(gan, "discriminator", lambda outputs: distill.student_network(4))
    share, counts = gan.verdict(gan.judge(images, labels, epochs=1), images)
    assert 0 <= share <= 1 and counts.sum() == 16


def test_gan_losses():
    """Both by their definition; the forger's against a critic that has taken its step."""
    forger, critic = gan.generator(4), gan.discriminator(4)
    step, real = gan.training_step(forger, critic), mt.rand(4, 1, 28, 28)
    mt.manual_seed(7)
    forged = forger(mt.randn(4, gan.NOISE)).detach()
    p, q = (critic(x).sigmoid().detach().numpy() for x in (real, forged))
    mt.manual_seed(7)
    critic_loss, forger_loss = step(real)
    expected = -np.mean(0.9 * np.log(p) + 0.1 * np.log(1 - p)) - np.mean(np.log(1 - q))
    assert abs(critic_loss.item() - expected) < 1e-5
    assert abs(forger_loss.item() + np.mean(np.log(critic(forged).sigmoid().detach().numpy()))) < 1e-5


def test_gan_step_trains_each_network_for_its_own_end():
    """The forger's loss does not move the critic, nor the critic's the forger."""
    forger, critic = gan.generator(4), gan.discriminator(4)
    made = [p.clone() for p in forger.parameters()], [p.clone() for p in critic.parameters()]
    gan.training_step(forger, critic)(mt.rand(4, 1, 28, 28))
    for network, before in zip((forger, critic), made):
        moved = [(p - b).abs().max().item() for p, b in zip(network.parameters(), before)]
        assert all(0 < m < 2.1e-4 for m in moved), moved  # one step of Adam at 2e-4 each


def test_distillation_loss():
    student, teacher = mt.randn(4, 10), mt.randn(4, 10) * 5
    t = distill.TEMPERATURE
    p, q = (np.exp(x.numpy() / t) / np.exp(x.numpy() / t).sum(1, keepdims=True) for x in (teacher, student))
    expected = (p * np.log(p / q)).sum(1).mean() * t ** 2
    assert abs(distill.distillation_loss(student, teacher).item() - expected) < 1e-4


def test_distill(tmp_path, monkeypatch):
    monkeypatch.setattr(distill, "teacher_network", distill.student_network)
    monkeypatch.setattr(distill, "BATCH", 20)
    images, labels = digits(40)
    scores, teacher = distill.experiment(images, labels, (images, labels), few=20, steps=2)
    assert len(scores) == 6 and all(len(row) == 11 for row in scores.values())
    assert all(abs(np.mean(row[:10]) - row[10]) < 1e-6 for row in scores.values())
    pytest.importorskip("matplotlib")
    distill.draw(tmp_path / "x.png", scores, teacher, images, labels)
    assert (tmp_path / "x.png").exists()


def test_raised_bias():
    """Exactly a tenth of the images is then taken for the digit."""
    student, (images, _) = distill.student_network(4), digits(41)
    with mt.no_grad():
        student[-1].bias[distill.MISSING] = -5.0
    assert (student(images).argmax(1) == distill.MISSING).sum() == 0
    distill.raise_bias(student, images)
    assert (student(images).argmax(1) == distill.MISSING).sum() in (4, 5)


def test_darts(tmp_path, monkeypatch):
    monkeypatch.setattr(darts, "BATCH", 8)
    monkeypatch.setattr(darts.Network.__init__, "__defaults__", (None, 2))
    images, labels = photographs(16)
    cell, mixture = darts.search(images, labels, epochs=1)
    assert sorted(cell, key=lambda e: e[1]) == list(cell) and len(cell) == 5
    assert np.allclose(np.sum(mixture, 1), 1) and np.ptp(mixture) > 1e-4
    model = darts.train(cell, images, labels, 1, "x")
    assert model(images[:2].float()).shape == (2, 10)
    pytest.importorskip("matplotlib")
    darts.draw(tmp_path / "x.png", cell, mixture, {"found": 0.5, "random 1": 0.4})
    assert (tmp_path / "x.png").exists()


def test_darts_mixture_of_one_is_the_operation():
    """Where the softmax is all on one operation of each edge, the mixture is the network of that cell."""
    mixed = darts.Network(channels=2).eval()
    choice = [k % len(darts.NAMES) for k in range(len(darts.EDGES))]
    with mt.no_grad():
        mixed.alpha += 200 * F.one_hot(mt.tensor(choice), len(darts.NAMES))
    cell = {edge: darts.NAMES[o] for edge, o in zip(darts.EDGES, choice)}
    alone = darts.Network(cell, channels=2).eval()
    state = mixed.state_dict()
    for name in alone.state_dict():
        place = name.split(".")
        if "edges" in place:
            place[3] = str(choice[int(place[2])])
        alone.state_dict()[name].copy_(state[".".join(place)])
    x = mt.randn(2, 3, 32, 32)
    assert mt.allclose(alone(x), mixed(x), atol=1e-5)


def test_derive_keeps_the_two_strongest_edges_of_a_node():
    weights = [[0.2] * 5 for _ in darts.EDGES]
    weights[darts.EDGES.index((1, 3))] = [0.1, 0.1, 0.1, 0.1, 0.6]
    weights[darts.EDGES.index((2, 3))] = [0.1, 0.1, 0.5, 0.2, 0.1]
    cell = darts.derive(weights)
    assert cell[1, 3] == "skip" and cell[2, 3] == "max pool" and (0, 3) not in cell
