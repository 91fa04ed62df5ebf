"""Keras models in .keras files and as data, `keras.ops` in graphs, features' layers, `tf.data`, optimizers' numbers."""
from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from minitorch import keras
from minitorch.keras import layers, ops
from minitorch.keras.pipeline import Dataset

X = np.sin(np.arange(48.0)).reshape(8, 6).astype("float32")
Y = np.cos(np.arange(16.0)).reshape(8, 2).astype("float32")
IMAGES = np.sin(np.arange(8 * 48.0)).reshape(8, 4, 4, 3).astype("float32")


@pytest.fixture(autouse=True)
def fresh():
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)


def functional():
    a = layers.Input((6,), name="a")
    h = layers.Dense(4, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3),
                     kernel_constraint="max_norm")(a)
    return keras.Model(a, layers.Dense(2)(layers.Concatenate()([h, 2 * h - 1, ops.tanh(h)[:, :2]])))


MODELS = {
    "functional": (functional, X),
    "images": (lambda: keras.Sequential([layers.Input((4, 4, 3)), layers.Conv2D(4, 3, padding="same"),
                                         layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]), IMAGES),
    "recurrent": (lambda: keras.Sequential([layers.Input((6,)), layers.Embedding(7, 3, mask_zero=True),
                                            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
                                            layers.GRU(3), layers.Dense(2)]), np.arange(48).reshape(8, 6) % 7),
    "nested": (lambda: keras.Sequential([layers.Input((6,)), keras.Sequential([layers.Dense(3)]), layers.Dense(2)]), X),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_goes_on_as_the_saved_one(name, tmp_path):
    make, x = MODELS[name]
    model = make()
    model.compile(keras.optimizers.Adam(0.05, amsgrad=True), keras.losses.MeanSquaredError(), metrics=["mae"])
    model.fit(x, Y, batch_size=4, verbose=0)
    model.save(tmp_path / "m.keras")
    other = keras.models.load_model(tmp_path / "m.keras")
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    for one in (model, other):
        one.fit(x, Y, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(other.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    again = keras.models.model_from_json(model.to_json())
    assert again.count_params() == model.count_params() == keras.models.clone_model(model).count_params()


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def __init__(self, factor=2.0, **keywords):
        super().__init__(**keywords)
        self.factor = factor

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, inputs):
        return inputs * self.w * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Net(keras.Model):
    def __init__(self, width=3):
        super().__init__()
        self.scaled, self.dense = Scaled(3.0), layers.Dense(width)

    def call(self, x):
        return self.dense(self.scaled(x))


def test_a_programs_own_classes(tmp_path):
    net = Net(2)
    before = net(X)
    net.save(tmp_path / "net.keras")
    with pytest.raises(TypeError, match="Could not locate class 'Net'"):
        keras.models.load_model(tmp_path / "net.keras")
    other = keras.models.load_model(tmp_path / "net.keras", custom_objects={"Net": Net})
    np.testing.assert_array_equal(other(X).detach().numpy(), before.detach().numpy())
    assert Scaled.from_config(Scaled(5.0, name="five").get_config()).name == "five"


def test_damaged_and_hostile_files(tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="no model file"):
        keras.models.load_model(path)
    data = {"module": "keras.layers", "class_name": "Lambda", "config": {
        "name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(data))
        with file.open("model.weights.npz", "w") as member:
            np.savez(member)
    with pytest.raises(ValueError, match="lambda as code, which is not run"):
        keras.models.load_model(path)
    with pytest.raises(TypeError, match="Could not locate class 'system'"):
        keras.saving.deserialize_keras_object({"module": "os", "class_name": "system", "config": {}})


def test_adam_has_keras_epsilon():
    """w -= rate √(1 - β₂ᵗ) / (1 - β₁ᵗ) m / (√v + ε): a large ε tells it from the other place for ε."""
    w, v, m, u = np.array([1.0, -2.0]), keras.Variable([1.0, -2.0]), 0.0, 0.0
    adam = keras.optimizers.Adam(0.1, epsilon=0.1)
    for t, g in enumerate(([0.3, -0.1], [0.2, 0.4], [-0.5, 0.1]), 1):
        g = np.array(g)
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g * g
        w = w - 0.1 * np.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t) * m / (np.sqrt(u) + 0.1)
        adam.apply([g], [v])
    np.testing.assert_allclose(v.numpy(), w, rtol=1e-5)
    assert int(adam.iterations) == 3 and [tuple(x.shape) for x in adam.variables] == [(), (), (2,), (2,)]


def test_constraints_and_decay():
    v = keras.Variable(np.ones((2, 2)))
    v.constraint = keras.constraints.MaxNorm(1.0)
    keras.optimizers.SGD(0.5, weight_decay=0.1).apply([np.zeros((2, 2))], [v])
    np.testing.assert_allclose(v.numpy(), np.full((2, 2), 0.5 ** 0.5), rtol=1e-5)


def test_features_of_a_layer_within():
    model = functional()
    middle = keras.Model(model.inputs, model.layers[1].output)
    w, b = model.layers[1].get_weights()
    np.testing.assert_allclose(middle.predict(X, verbose=0), np.maximum(X @ w + b, 0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name, args, expected", [
    ("sum", ([[1.0, 2.0]], 1), [3.0]), ("mean", ([1, 2],), 1.5), ("maximum", ([1.0, -1.0], 0.0), [1.0, 0.0]),
    ("one_hot", ([1, 5], 3), [[0, 1, 0], [0, 0, 0]]), ("take", ([1.0, 2.0], [1, 0]), [2.0, 1.0]),
    ("std", ([1.0, 3.0],), 1.0), ("clip", ([-1.0, 5.0], 0, 2), [0.0, 2.0]),
    ("concatenate", ([[1.0], [2.0]],), [1.0, 2.0]), ("logsumexp", ([0.0, 0.0],), np.log(2)),
    ("where", ([True, False], 1.0, 0.0), [1.0, 0.0]), ("transpose", ([[1.0, 2.0]],), [[1.0], [2.0]]),
])
def test_ops(name, args, expected):
    np.testing.assert_allclose(getattr(ops, name)(*args).numpy(), expected, rtol=1e-6)


def test_ops_of_graphs():
    x = layers.Input((4,))
    assert (ops.sum(x, axis=1).shape, (2 - x)[:, 0].shape, ops.reshape(x, (-1, 2, 2)).shape) == \
        ((None,), (None,), (None, 2, 2))


def test_layers_that_adapt():
    norm = layers.Normalization()
    norm.adapt(np.array([[1.0, 2.0], [3.0, 6.0]]))
    np.testing.assert_allclose(norm([[3.0, 2.0]]).numpy(), [[1.0, -1.0]])
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(["The cat sat.", "the dog!"])
    assert words.get_vocabulary() == ["", "[UNK]", "the", "sat", "dog", "cat"]
    assert words(["the bird sat"]).tolist() == [[2, 1, 3, 0]]
    assert layers.StringLookup(vocabulary=["a", "b"])(np.array(["b", "?"])).tolist() == [2, 0]
    assert layers.CategoryEncoding(3, output_mode="count")(np.array([[0, 2, 2]])).tolist() == [[1, 0, 2]]
    assert layers.Discretization([0.0, 1.0])(np.array([-1.0, 0.5, 1.0])).tolist() == [0, 1, 2]


def test_augmentation_is_for_training():
    x = np.random.default_rng(0).random((2, 4, 4, 1)).astype("float32")
    for layer in (layers.RandomFlip(seed=1), layers.RandomRotation(0.2), layers.RandomZoom(0.3),
                  layers.RandomTranslation(0.2, 0.2), layers.RandomContrast(0.5)):
        np.testing.assert_array_equal(layer(x, training=False).numpy(), x)
        assert layer(x, training=True).shape == x.shape
    quarter = layers.RandomRotation((0.25, 0.25), fill_mode="constant")(x, training=True).numpy()
    assert min(np.abs(quarter - np.rot90(x, k, (1, 2))).max() for k in (1, 3)) < 1e-5


def test_attention_and_cells():
    attend = layers.MultiHeadAttention(2, 3)
    y, scores = attend(X[None], X[None], return_attention_scores=True)
    np.testing.assert_allclose(scores.sum(-1).detach().numpy(), np.ones((1, 2, 8)), rtol=1e-5)
    np.testing.assert_allclose(attend(X[None], X[None]).detach().numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)
    rnn, lstm = layers.RNN(layers.LSTMCell(3)), layers.LSTM(3)
    x = IMAGES[:, :, :, 0]
    rnn(x), lstm(x)
    lstm.set_weights(rnn.get_weights())
    np.testing.assert_allclose(rnn(x).detach().numpy(), lstm(x).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_data_sets():
    ds = Dataset.from_tensor_slices((X, Y)).shuffle(8, seed=0).batch(3).prefetch(-1)
    assert [tuple(x.shape) for x, _ in ds] == [(3, 6), (3, 6), (2, 6)] and len(ds) == 3
    assert sorted(x[0].item() for x, _ in ds.unbatch()) == sorted(X[:, 0].tolist())
    model = keras.Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    assert len(model.fit(ds.repeat(), epochs=2, steps_per_epoch=2, verbose=0).history["loss"]) == 2
