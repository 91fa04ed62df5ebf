"""`summary`: parameters, shapes and multiply-adds counted by hand; the model stays as it was."""
import numpy as np
import pytest

import minitorch as mt
from minitorch import nn, op, summaries


def by_name(found):
    return {row.name: row for row in found.rows}


def test_an_mlp():
    found = mt.summary(nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10, bias=False)), mt.ones(64, 784))
    rows = by_name(found)
    assert [row.parameters for row in found.rows] == [784 * 32 + 32 + 320, 784 * 32 + 32, 0, 320]
    assert [row.multiply_adds for row in found.rows] == [64 * 784 * 32 + 64 * 320, 64 * 784 * 32, 0, 64 * 320]
    assert (rows["0"].input, rows["0"].output, rows["2"].output) == ("64×784", "64×32", "64×10")
    assert found.activation_bytes == 4 * 64 * (32 + 32 + 10) and found.input_bytes == 4 * 64 * 784
    assert found.parameter_bytes == 4 * found.parameters and found.trainable == found.parameters


def test_a_cnn():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Conv2d(8, 6, 3, stride=2, groups=2), nn.ConvTranspose2d(6, 4, 2, bias=False),
                          nn.Flatten(), nn.LazyLinear(5))
    found = mt.summary(model, input_size=(2, 3, 15, 14))
    assert [row.output for row in found.rows] == ["2×5", "2×8×15×14", "2×8×15×14", "2×8×15×14", "2×8×7×7", "2×6×3×3",
                                                  "2×4×4×4", "2×64", "2×5"]
    assert [row.multiply_adds for row in found.rows[1:]] == [
        2 * 8 * 15 * 14 * 27, 0, 0, 0, 2 * 6 * 9 * 4 * 9, 2 * 6 * 9 * 4 * 4, 0, 2 * 64 * 5]
    assert [row.parameters for row in found.rows[1:]] == [8 * 28, 16, 0, 0, 6 * 37, 6 * 4 * 4, 0, 65 * 5]
    assert found.multiply_adds == sum(row.multiply_adds for row in found.rows[1:])
    assert isinstance(model[-1], nn.LazyLinear) and model[-1].has_uninitialized_params()  # stays lazy


@pytest.mark.parametrize(("kind", "gates"), [(nn.GRU, 3), (nn.LSTM, 4), (nn.RNN, 1)])
def test_recurrent_layers(kind, gates):
    found = mt.summary(kind(5, 7, num_layers=2, bidirectional=True), input_size=(11, 3, 5))
    first, second = (2 * gates * 7 * (width + 7) for width in (5, 14))
    assert found.parameters == first + second + 4 * 2 * gates * 7
    assert found.multiply_adds == 11 * 3 * (first + second)
    assert found.rows[0].output.startswith("11×3×14, 4×3×7")


def test_a_transformer_layer():
    d, heads, wide, n, t = 16, 4, 40, 3, 9
    layer = nn.TransformerEncoderLayer(d, heads, wide, batch_first=True)
    found = mt.summary(layer, input_size=(n, t, d))
    assert found.parameters == 4 * d * d + 4 * d + 2 * d * wide + wide + d + 4 * d
    assert found.multiply_adds == n * t * (4 * d * d + 2 * d * wide) + 2 * n * t * t * d
    rows = by_name(found)
    assert rows["linear1"].multiply_adds == n * t * d * wide and rows["self_attn"].parameters == 4 * d * d + 4 * d


MODELS = {
    "cnn": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.AvgPool2d(2), nn.Flatten()),
            (2, 3, 8, 8)),
    "transformer": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12), 2), (5, 2, 8)),
    "lstm": (lambda: nn.LSTM(4, 3), (6, 2, 4)),
    "einsum": (lambda: Function(lambda x: mt.einsum("bij,bjk->ik", x, x)), (3, 4, 4)),
    "products": (lambda: Function(lambda x: mt.addmm(x[0], x[1], x[2]).matmul(x[0, 0])), (3, 4, 4)),
}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


@pytest.mark.parametrize("name", MODELS)
def test_without_values_the_same_is_counted(name):
    make, shape = MODELS[name]
    model, x = make(), mt.rand(*shape)
    without, real = summaries._run_on_meta(model, (x,), {}), summaries._run(model, (x,), {})
    assert without.keys() == real.keys() and real[""].multiply_adds + (name == "products") > 0
    for path in real:
        assert vars(without[path]) == vars(real[path]), path


def test_products_by_einsum():
    model = Function(lambda x: mt.einsum("bij,bjk->bik", x, x))
    assert mt.summary(model, input_size=(3, 4, 4)).multiply_adds == 3 * 4 * 4 * 4


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), Looking())
    model[2].eval()
    model(mt.randn(5, 3)).sum().backward()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    arrays = [p._array for p in model.parameters()]
    grads, modes = [p.grad.clone() for p in model.parameters()], [m.training for m in model.modules()]
    x = mt.randn(5, 3)
    rng, quick = mt.get_rng_state(), dict(op.QUICK)
    found = mt.summary(model, x)
    assert found.rows[-1].output == "5×4" and model[3].seen == "cpu"  # it looks at values: it ran for real
    assert all((value == before[key]).all() for key, value in model.state_dict().items())
    assert all(p._array is array for p, array in zip(model.parameters(), arrays))
    assert all((p.grad == grad).all() for p, grad in zip(model.parameters(), grads))
    assert [m.training for m in model.modules()] == modes
    assert op.quickest is np.ndarray and dict(op.QUICK) == quick
    assert (mt.get_rng_state() == rng).all()


class Looking(nn.Module):
    seen = None

    def forward(self, x):
        self.seen = x.device.type
        return x if x.sum().item() > -1e9 else -x


def test_random_numbers_and_buffers_of_a_real_run_come_back():
    class Drawing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", mt.zeros(1))

        def forward(self, x):
            self.count += 1
            self.count = self.count + mt.rand(1).item()
            return x * self.count

    model = Drawing()
    mt.manual_seed(3)
    expected = mt.rand(3)
    mt.manual_seed(3)
    buffer = model.count
    mt.summary(model, mt.ones(2))
    assert (mt.rand(3) == expected).all() and model.count is buffer and model.count.item() == 0


def test_shared_frozen_repeated_and_idle():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(11, 4)
            self.mix = nn.Linear(4, 4)
            self.idle = nn.Linear(9, 9)
            self.head = nn.Linear(4, 11, bias=False)
            self.head.weight = self.words.weight
            self.mix.bias.requires_grad_(False)

        def forward(self, x):
            return {"logits": [self.head(self.mix(self.mix(self.words(x))))], "more": (x, None)}

    found = mt.summary(Tied(), mt.zeros(2, 3, dtype=mt.long))
    rows = by_name(found)
    assert found.parameters == 44 + 20 + 90 and found.trainable == found.parameters - 4
    assert (rows["head"].parameters, rows["head"].shared, rows["mix"].calls, rows["idle"].calls) == (0, 44, 2, 0)
    assert rows[""].output == "2×3×11, 2×3" and rows["mix"].multiply_adds == 2 * 2 * 3 * 16
    text = str(found)
    assert all(word in text for word in ("not called", "shared", "mix Linear ×2", "4 of them not trainable"))
    assert max(map(len, text.splitlines())) <= 100


def test_several_arguments_and_names():
    model = Function(lambda a, b=None, scale=1: (a @ b) * scale)
    for given in ((mt.ones(2, 3), mt.ones(3, 4)), [mt.ones(2, 3), mt.ones(3, 4)],
                  {"a": mt.ones(2, 3), "b": mt.ones(3, 4), "scale": 2}):
        assert mt.summary(model, given).multiply_adds == 24
    found = mt.summary(model, input_size=[(2, 3), (3, 4)], dtypes=[mt.float64, mt.float64])
    assert found.input_bytes == 8 * (6 + 12) and found.rows[0].input == "2×3, 3×4"
    words = mt.summary(nn.Embedding(5, 2), input_size=(7,), dtypes=mt.int64)
    assert words.rows[0].output == "7×2"
    only = mt.summary(nn.Linear(3, 2))
    assert only.parameters == 8 and "mult-adds" not in str(only)


def test_depth():
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(2, 2))))
    text = str(mt.summary(model, input_size=(1, 2), depth=1))
    assert len(mt.summary(model, input_size=(1, 2)).rows) == 4 and text.count("Sequential") == 2


def test_what_cannot_be():
    with pytest.raises(ValueError, match="input or input_size, not both"):
        mt.summary(nn.ReLU(), mt.ones(1), input_size=(1,))
    with pytest.raises(ValueError, match="a dtype for each of 2 shapes, got 1"):
        mt.summary(nn.ReLU(), input_size=[(1,), (2,)], dtypes=[mt.float32])
    model = nn.Linear(3, 2)
    weight = model.weight._array
    with pytest.raises(RuntimeError, match="linear"):
        mt.summary(model, mt.ones(2, 4))
    assert model.weight._array is weight and model.training
    assert mt.summary(model, mt.ones(2, 3)).multiply_adds == 12  # and nothing stays behind


def test_a_compiled_model():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    assert mt.summary(mt.compile(model), mt.ones(4, 3)).multiply_adds == 24
