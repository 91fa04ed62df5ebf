"""Keras models in .keras files and as data, `keras.ops` in graphs, features' layers, optimizers' numbers."""
from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from minitorch import keras
from minitorch.keras import layers, ops

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
                     bias_initializer="ones")(a)
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


def test_weight_decay():
    v = keras.Variable(np.ones((2, 2)))
    keras.optimizers.SGD(0.5, weight_decay=0.1).apply([np.zeros((2, 2))], [v])
    np.testing.assert_allclose(v.numpy(), np.full((2, 2), 0.95), rtol=1e-6)


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


def test_attention():
    attend = layers.MultiHeadAttention(2, 3)
    y, scores = attend(X[None], X[None], return_attention_scores=True)
    np.testing.assert_allclose(scores.sum(-1).detach().numpy(), np.ones((1, 2, 8)), rtol=1e-5)
    np.testing.assert_allclose(attend(X[None], X[None]).detach().numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_options_of_weights():
    """initializer and regularizer of each weight by name, and as data."""
    dense = layers.Dense(2, kernel_initializer="ones", bias_regularizer="l2")
    dense(X)
    assert (dense.kernel.numpy() == 1).all() and dense.kernel.regularizer is None
    assert isinstance(dense.bias_regularizer, keras.regularizers.L2)
    assert dense.bias.regularizer is dense.bias_regularizer
    config = dense.get_config()
    assert config["kernel_initializer"]["class_name"] == "Ones" and config["bias_initializer"]["class_name"] == "Zeros"
    again = layers.Dense.from_config(config)
    assert isinstance(again.bias_regularizer, keras.regularizers.L2) and again.units == 2
    lstm = layers.LSTM(3, recurrent_initializer="zeros", unit_forget_bias=False)
    lstm(X[None])
    assert not lstm.recurrent_kernel.numpy().any() and not lstm.bias.numpy().any()
    with pytest.raises(TypeError, match="nearest that exists is 'kernel_initializer'"):
        layers.Conv2D(3, 3, kernel_initialiser="ones")


@pytest.mark.parametrize("where, name, nearest", [
    (layers, "TextVectorization", "pad_sequences"), (layers, "RandomFlip", "torchvision.transforms"),
    (layers, "LSTMCell", "'LSTM'"), (keras, "preprocesing", "'preprocessing'"),
    (keras.preprocessing.sequence, "TimeseriesGenerator", "module 'keras.preprocessing.sequence' has no"),
    (keras.callbacks, "BackupAndRestore", "'ModelCheckpoint'"),
    (ops, "concatinate", "'concatenate'"), (keras, "constraints", "'keras.regularizers'"),
    (keras.metrics, "MeanIoU", "'Precision'"), (keras.preprocessing, "text", "pad_sequences"),
])
def test_what_is_not_there_names_the_nearest(where, name, nearest):
    with pytest.raises(AttributeError, match=nearest):
        getattr(where, name)


def test_tensorflow_names_what_feeds_fit():
    from minitorch.keras import tensorflow as tf

    with pytest.raises(AttributeError, match=r"has no attribute 'data'; .*DataLoader"):
        _ = tf.data.Dataset
    assert tf.reduce_sum([[1.0, 2.0]], axis=1).tolist() == [3.0] == tf.math.reduce_sum([3.0, 0.0]).reshape(1).tolist()
    assert tf.concat([[1.0], [2.0]], 0).tolist() == [1.0, 2.0] and tf.nn.relu([-1.0]).tolist() == [0.0]
