"""The Keras-shaped front: layers, losses and optimizers against figures of Keras 3.15, fit, callbacks, files."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import minitorch as mt
from minitorch import keras
from minitorch.keras import layers

KB = keras.backend


@pytest.fixture(autouse=True)
def fresh():
    KB.clear_session()
    keras.utils.set_random_seed(0)


def filled(shape, scale=0.1):
    """Values that need no random numbers: the same here and where the figures were recorded."""
    return (np.sin(np.arange(np.prod(shape)) * 1.7 + 0.3) * scale * 5).reshape(shape).astype("float32")


FLAT, IMAGE, SEQUENCE = filled((12, 6), 0.3), filled((12, 9, 9, 2), 0.3), filled((12, 5, 4), 0.3)
IDS = np.abs(filled((12, 5), 1.4)).astype("int64") * (np.arange(5) < 3)
LABELS = np.arange(12) % 3
ONE_HOT = keras.utils.to_categorical(LABELS, 3)

# name: (layers, x, loss, optimizer). What Keras gives is in tests/keras_recorded.py, written by running this file.
CASES = {
    "adam": (lambda k: [k.Dense(5, activation="tanh"), k.Dense(3, activation="softmax")], FLAT, None, "Adam"),
    **{name: (lambda k: [k.Dense(5, activation="tanh"), k.Dense(3, activation="softmax")], FLAT, None, name)
       for name in ("SGD", "RMSprop", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta")},
    "conv_same": (lambda k: [k.Conv2D(3, (3, 2), strides=2, padding="same", activation="relu"), k.BatchNormalization(),
                             k.MaxPooling2D(2, padding="same"), k.AveragePooling2D(2, 1, padding="same"), k.Flatten(),
                             k.Dense(3)], IMAGE, "mse", "SGD"),
    "conv_valid": (lambda k: [k.Conv2D(4, 3, dilation_rate=2, groups=2), k.UpSampling2D(2),
                              k.ZeroPadding2D(((1, 0), 2)),
                              k.GlobalAveragePooling2D(), k.LayerNormalization(), k.Dense(3)], IMAGE, "mae", "SGD"),
    "transposed": (lambda k: [k.Conv2DTranspose(2, (3, 2), strides=2, padding="same"), k.MaxPooling2D(3),
                              k.DepthwiseConv2D(2, depth_multiplier=2), k.GlobalMaxPooling2D(), k.Dense(3)],
                   IMAGE, "mse", "SGD"),
    "causal": (lambda k: [k.Conv1D(4, 3, padding="causal"), k.GlobalMaxPooling1D(), k.Dense(3)], SEQUENCE, "mse",
               "SGD"),
    "lstm": (lambda k: [k.LSTM(4, return_sequences=True), k.Bidirectional(k.LSTM(3)), k.Dense(3)], SEQUENCE, "mse",
             "SGD"),
    "gru": (lambda k: [k.GRU(4, return_sequences=True), k.SimpleRNN(3)], SEQUENCE, "mse", "SGD"),
    "gru_old": (lambda k: [k.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid")], SEQUENCE, "huber", "SGD"),
    "masked": (lambda k: [k.Embedding(8, 4, mask_zero=True), k.Bidirectional(k.LSTM(3, return_sequences=True)),
                          k.GRU(3)], IDS, "mse", "SGD"),
    "l2": (lambda k: [k.Dense(3, kernel_regularizer="l2", activity_regularizer="l1")], FLAT, "mse", "SGD"),
    **{loss: (lambda k: [k.Dense(3, activation="sigmoid")], FLAT, loss, "SGD") for loss in (
        "binary_crossentropy", "categorical_crossentropy", "huber", "log_cosh", "hinge", "categorical_hinge",
        "kl_divergence", "poisson", "cosine_similarity", "msle")},
}


def figures(k, case):
    """Losses of three epochs, accuracy, and a prediction, with the library `k`."""
    build, x, loss, optimizer = CASES[case]
    model = k.Sequential(build(k.layers))
    model(x[:2])
    model.set_weights([filled(np.shape(w)) + (1 if i % 2 else 0) for i, w in enumerate(model.get_weights())])
    loss_name = loss or "sparse_categorical_crossentropy"
    model.compile(getattr(k.optimizers, optimizer)(0.05), loss_name, metrics=["accuracy"])
    history = model.fit(x, ONE_HOT if loss else LABELS, batch_size=5, epochs=3, shuffle=False, verbose=0).history
    values = history["loss"] + history["accuracy"] + model.predict(x[:1], verbose=0).ravel().tolist()
    return [float(f"{v:.7g}") for v in values]


@pytest.mark.parametrize("case", CASES)
def test_trains_as_keras_does(case):
    from keras_recorded import RECORDED

    np.testing.assert_allclose(figures(keras, case), RECORDED[case], rtol=3e-4, atol=3e-5)


def test_orders_of_seed_texts(tmp_path, subprocess_env):
    """`minitorch run` lends tensorflow; losses and optimizers that were told of no variables work too."""
    import subprocess

    program = tmp_path / "program.py"
    program.write_text("""
import numpy as np, tensorflow as tf
from tensorflow.keras.layers import Dense
import keras
assert tf.keras is keras and keras.layers.Dense is Dense
class Net(tf.keras.Model):
    def __init__(self):
        super(Net, self).__init__()
        self.layer1, self.layer2 = Dense(5, activation='relu'), Dense(1, activation='sigmoid')
    def call(self, x):
        return self.layer2(self.layer1(x))
x, y = np.eye(4), np.array([[0.], [1.], [1.], [0.]])
model, criterion = Net(), tf.keras.losses.MeanSquaredError()
optimizer = tf.keras.optimizers.Adam(learning_rate=0.1)
for step in range(60):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
with tf.GradientTape() as tape:
    after = criterion(y, model(x))
optimizer.apply_gradients(zip(tape.gradient(after, model.trainable_variables), model.trainable_variables))
print(after.numpy() < 0.01 and tf.reduce_max(after).shape == ())
""")
    done = subprocess.run([sys.executable, "-m", "minitorch", "run", str(program)], env=subprocess_env, text=True,
                          capture_output=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr


def test_functional_model_with_two_ends():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    joined = layers.Concatenate()([shared(a), shared(b) * 2])
    model = keras.Model([a, b], [layers.Dense(1, name="one")(joined), layers.Dense(2, name="two")(joined)])
    x = FLAT[:, :4]
    first, second = model.predict([x, x], verbose=0)
    w, bias = shared.get_weights()
    kernel, _ = model.get_layer("two").get_weights()
    np.testing.assert_allclose(second, np.hstack([x @ w + bias, 2 * (x @ w + bias)]) @ kernel, atol=1e-5)
    assert first.shape == (12, 1) and len(model.weights) == 6
    model.compile("sgd", {"one": "mse", "two": "mae"}, loss_weights={"one": 1.0, "two": 0.5}, metrics={"one": ["mae"]})
    logs = model.fit({"a": x, "b": x}, [ONE_HOT[:, :1], ONE_HOT[:, :2]], batch_size=12, verbose=0).history
    assert set(logs) == {"loss", "one_loss", "two_loss", "one_mae"}
    assert logs["loss"][0] == pytest.approx(logs["one_loss"][0] + 0.5 * logs["two_loss"][0])


def test_dropout_and_batch_normalization_know_training():
    x = np.ones((4, 50), "float32")
    drop = layers.Dropout(0.5, seed=1)
    assert (drop(x).numpy() == 1).all()
    assert set(np.unique(drop(x, training=True).numpy())) == {0.0, 2.0}
    norm = layers.BatchNormalization(momentum=0.5)
    norm(FLAT, training=True)
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.5 + 0.5 * FLAT.var(0), rtol=1e-5)
    norm.trainable = False
    before = norm.get_weights()
    norm(FLAT, training=True)
    assert all((a == b).all() for a, b in zip(before, norm.get_weights())) and not norm.trainable_weights


def model_of(width=3):
    model = keras.Sequential([layers.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(width)])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


def test_callbacks(tmp_path, capsys):
    model, seen = model_of(), []
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=1e9, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    saver = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.npz", save_weights_only=True)
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(sorted(logs)))
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(FLAT, ONE_HOT, epochs=9, validation_split=0.25, callbacks=[slower, stop, saver, note, table])
    assert len(history.epoch) == 2 == len((tmp_path / "log.csv").read_text().splitlines()) - 1
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    assert seen[0] == ["learning_rate", "loss", "mae", "val_loss", "val_mae"]
    first = model.get_weights()
    model.load_weights(tmp_path / "2.npz")
    assert not np.array_equal(first[0], model.get_weights()[0])  # the best were those of epoch 1
    model.load_weights(tmp_path / "1.npz")
    assert np.array_equal(first[0], model.get_weights()[0])
    assert "Epoch 2/9" in (text := capsys.readouterr().out) and "1/1 ━" in text and " - val_mae: " in text


@pytest.mark.parametrize("ending", ["npz", "weights.h5"])
def test_weight_files(tmp_path, ending):
    if ending == "weights.h5":
        pytest.importorskip("h5py", reason="h5py is not installed")
    model, other = model_of(), model_of()
    model.save_weights(tmp_path / f"w.{ending}")
    other.load_weights(tmp_path / f"w.{ending}")
    assert all((a == b).all() for a, b in zip(model.get_weights(), other.get_weights()))
    with pytest.raises(ValueError, match=r"layers/dense_1/vars/0 has shape \(4, 3\), the model expects \(4, 2\)"):
        model_of(2).load_weights(tmp_path / f"w.{ending}")


def test_metrics():
    y, p = np.array([1.0, 0, 1, 0, 1]), np.array([0.9, 0.6, 0.4, 0.2, 0.7])
    for name, expected in (("Precision", 2 / 3), ("Recall", 2 / 3), ("BinaryAccuracy", 0.6), ("AUC", 5 / 6),
                           ("MeanSquaredError", 0.1741667), ("RootMeanSquaredError", 0.172 ** 0.5),
                           ("FalsePositives", 1)):
        metric = getattr(keras.metrics, name)()
        metric.update_state(y[:2], p[:2])
        metric.update_state(y[2:], p[2:])
        assert metric.result() == pytest.approx(expected, rel=1e-5), name


def test_generators_and_batches():
    model = model_of()
    model.fit(((FLAT[i:i + 4], ONE_HOT[i:i + 4]) for i in (0, 4, 8)), verbose=0)
    loader = mt.utils.data.DataLoader(mt.utils.data.TensorDataset(mt.tensor(FLAT), mt.tensor(ONE_HOT)), batch_size=5)
    model.fit(loader, epochs=2, verbose=0, validation_data=loader)
    assert model.evaluate(loader, verbose=0)[0] == pytest.approx(model.evaluate(FLAT, ONE_HOT, verbose=0)[0], rel=1e-5)
    assert len(model.train_on_batch(FLAT, ONE_HOT)) == 2 and model.predict_on_batch(FLAT).shape == (12, 3)


def test_layers_in_lists_and_summary(capsys):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for _ in range(2):
                self.blocks.append(layers.Dense(4))

        def call(self, x, training=False):
            for block in self.blocks:
                x = block(x)
            return x

    net = Net()
    net(FLAT)
    assert len(net.trainable_variables) == 4 and net.count_params() == 48
    model_of().summary()
    text = capsys.readouterr().out
    assert "│ dense_2 (Dense)                 │ (None, 4)              │            28 │" in text
    assert "Total params: 43 (172.00 B)" in text


def test_data_sets_of_files():
    root = Path(__file__).parents[2] / "shared" / "data" / "mnist10k"
    if not root.is_dir():
        pytest.skip("there are no data files beside the checkout")
    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data(str(root))
    assert x.shape[1:] == x_test.shape[1:] == (28, 28) and x.dtype == y.dtype == np.uint8 and len(x_test) == len(y_test)


@pytest.mark.parametrize("do, error, text", [
    (lambda: layers.Dense(0), ValueError, "units"),
    (lambda: layers.Dense(3, foo=1), TypeError, "foo"),
    (lambda: layers.Dense(3, kernel_constraint="max_norm"), TypeError, "nearest that exists is 'kernel_regularizer'"),
    (lambda: layers.Dense(3, activation="reluu"), ValueError, "nearest that exists is 'relu'"),
    (lambda: layers.Dens, AttributeError, "nearest that exists is 'Dense'"),
    (lambda: layers.Conv2D(3, 3, padding="foo"), ValueError, "padding"),
    (lambda: layers.Dropout(2), ValueError, "between 0 and 1"),
    (lambda: model_of()(np.zeros((2, 5))), ValueError, "expected axis -1 of input shape to have value 6"),
    (lambda: model_of().fit(FLAT, ONE_HOT[:5]), ValueError, "cardinality"),
    (lambda: model_of().get_layer("foo"), ValueError, "No such layer: foo"),
    (lambda: model_of().set_weights([np.zeros(3)]), ValueError, "expecting 4 weights"),
    (lambda: model_of().compile("adm", "mse"), ValueError, "adm"),
    (lambda: keras.Sequential([layers.Dense(3)]).fit(FLAT, ONE_HOT), ValueError, "compile"),
    (lambda: model_of().save("m.h5"), ValueError, "must end in `.keras`"),
    (lambda: keras.models.load_model("nowhere.keras"), FileNotFoundError, "nowhere.keras"),
    (lambda: keras.layers.Lambda(lambda x: x).get_config(), NotImplementedError, "no name to find it by"),
    (lambda: keras.losses.get("foo"), ValueError, "foo"),
])
def test_errors(do, error, text):
    with pytest.raises(error, match=text):
        do()


if __name__ == "__main__":  # with Keras installed: write what it gives
    import keras as reference

    recorded = "".join(f"    {case!r}: {figures(reference, case)},\n" for case in CASES)
    Path(__file__).with_name("keras_recorded.py").write_text(
        '"""What Keras 3.15 gives for the cases of test_keras.py, written by running that file."""\n'
        f"RECORDED = {{\n{recorded}}}\n")
