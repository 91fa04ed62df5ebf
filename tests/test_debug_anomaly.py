"""The first NaN or infinity is named, forward and backward, with its line and its cause; what is legal stays so."""
from __future__ import annotations

import textwrap
import threading

import pytest

import minitorch as mt
from minitorch import engine, nn
from minitorch.debug import NonFiniteError
from minitorch.engine import mode
from minitorch.op import OPS


def bodies():
    return {name: op.running_body for name, op in OPS.items()}


@pytest.fixture(autouse=True)
def nothing_is_left():
    before, modes = bodies(), (mode.anomaly, mode.check_nan, mode.notes, engine.gradients)
    yield
    assert bodies() == before
    assert (mode.anomaly, mode.check_nan, mode.notes, engine.gradients) == modes


FORWARD = {
    "log of 0": (lambda: mt.tensor([[1.0, 2.0], [0.0, 3.0]]).log(), "log made -inf at [1, 0]", "log(0) = -inf: 1 of 4"),
    "log of less": (lambda: mt.tensor([1.0, -2.0]).log(), "log made NaN at [1]", "negative number"),
    "x / 0": (lambda: mt.ones(3) / mt.tensor([1.0, 0.0, 0.0]), "div made inf at [1]", "2 of 3 elements of the denom"),
    "0 / 0": (lambda: mt.zeros(2) / mt.tensor([1.0, 0.0]), "div made NaN at [1]", "0 / 0 = NaN"),
    "exp": (lambda: mt.tensor([1.0, 100.0]).exp(), "exp made inf at [1]", "exp of more than 88.72"),
    "exp in float64": (lambda: mt.tensor(1000.0, dtype=mt.float64).exp(), "exp made inf", "exp of more than 709.8"),
    "sqrt": (lambda: mt.tensor([4.0, -1.0]).sqrt(), "sqrt made NaN at [1]", "1 of 2 elements are below 0"),
    "power": (lambda: mt.tensor([0.0, 2.0]) ** -1.5, "pow made inf at [0]", "0 to a negative power"),
    "root": (lambda: mt.tensor([-8.0]) ** (1 / 3), "pow made NaN at [0]", "a power that is no integer"),
    "acos": (lambda: mt.tensor([0.5, 1.0001]).acos(), "acos made NaN at [1]", "outside of [-1, 1]"),
    "half": (lambda: mt.full((2, 2), 3e4).half() @ mt.full((2, 2), 3e4).half(), "made inf at [0, 0]", "overflow"),
    "0 * inf": (lambda: mt.tensor([0.0, float("inf")]) * 0, "mul made NaN at [1]", "0 * inf"),
    "no targets": (lambda: nn.functional.cross_entropy(mt.zeros(2, 3), mt.tensor([-100, -100])),
                   "cross_entropy made NaN", "all of them are ignore_index"),
    "masked away": (lambda: mt.full((1, 3), float("-inf")).softmax(1), "softmax made NaN", "masks everything"),
}


@pytest.mark.parametrize("name", FORWARD)
def test_forward(name):
    run, what, why = FORWARD[name]
    with pytest.raises(NonFiniteError) as caught, mt.debug.anomaly():
        run()
    text = str(caught.value)
    assert text.startswith("forward: ") and what in text and why in text
    assert f"at {__file__}" in text or "test_debug_anomaly.py:" in text


def test_the_module_and_line_are_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(2, 2)

        def forward(self, x):
            return mt.log(self.head(x) * 0)

    net = nn.Sequential(nn.Identity(), Net())
    with pytest.raises(NonFiniteError, match=r"in Sequential\.1:  return mt\.log"), mt.debug.anomaly():
        net(mt.ones(1, 2))


def test_a_nan_that_comes_in_is_not_blamed_on_the_op():
    x = mt.tensor([[1.0, float("nan")]])
    with pytest.raises(NonFiniteError, match=r"linear was given NaN at \[0, 1\] of its x"), mt.debug.anomaly():
        nn.Linear(2, 3)(x)


BACKWARD = {
    "sqrt at 0": (lambda x: (x.sqrt() * mt.tensor([0.0, 1.0])).sum(), [0.0, 4.0], "sqrt", "the slope of a root at 0"),
    "log behind where": (lambda x: mt.where(x > 0, x.log(), mt.zeros(2)).sum(), [0.0, 4.0], "log", "slope of log"),
    "acos at 1": (lambda x: (x.acos() * mt.tensor([0.0, 1.0])).sum(), [1.0, 0.5], "acos", "slope at 1 and -1"),
    "softmax by hand": (lambda x: (x.exp() / x.exp().sum())[0], [1000.0, 4.0], "div", "0 * inf = NaN"),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_names_its_op_under_detect_anomaly(name):
    run, values, op, why = BACKWARD[name]
    x = mt.tensor(values, requires_grad=True)
    with mt.autograd.detect_anomaly():
        loss = run(x)
        with pytest.raises(RuntimeError) as caught:
            loss.backward()
    text = str(caught.value)
    assert "returned nan values in its" in text.split("\n")[0]  # PyTorch's words, which programs may look for
    assert f"the gradient of {op} for" in text and why in text and "test_debug_anomaly.py:" in text
    assert x.grad is None


def test_backward_also_names_the_forward_op_that_was_first():
    x = mt.tensor([1000.0, 4.0], requires_grad=True)
    with mt.autograd.detect_anomaly():
        y = x.exp()
        loss = (y / y.sum()).sum()
        with pytest.raises(RuntimeError, match=r"(?s)DivBackward0.*The first value that was not finite: forward: exp"):
            loss.backward()


def test_what_earlier_graphs_did_is_not_blamed():
    with mt.autograd.detect_anomaly():
        mt.zeros(2).log()  # gone when backward fails
        x = mt.zeros(2, requires_grad=True)
        with pytest.raises(RuntimeError) as caught:
            (x.sqrt() * 0).sum().backward()
    assert "log" not in str(caught.value)


def test_an_infinite_gradient_raises_in_anomaly_alone():
    x = mt.tensor([0.0, 4.0], requires_grad=True)
    with mt.autograd.detect_anomaly():
        x.sqrt().sum().backward()
    assert x.grad.tolist() == [float("inf"), 0.25]
    with pytest.raises(NonFiniteError, match=r"backward: the gradient of sqrt for x has inf at \[0\]"), \
            mt.debug.anomaly():
        x.sqrt().sum().backward()


def test_second_derivatives_are_looked_at():
    x = mt.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="SqrtBackward0"), mt.autograd.detect_anomaly():
        (x.sqrt() * mt.tensor([0.0, 1.0])).sum().backward(create_graph=True)


def test_masks_with_infinities_are_legal():
    scores = mt.randn(3, 3, requires_grad=True)
    for watching in (mt.autograd.detect_anomaly(), mt.debug.anomaly()):
        with watching:
            mask = mt.ones(3, 3).triu(1).bool()
            scores.masked_fill(mask, float("-inf")).softmax(1).square().sum().backward()
            added = mt.zeros(3, 3).masked_fill(mask, float("-inf"))
            (scores + added).log_softmax(1).exp().square().sum().backward()
            layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
            layer(mt.randn(1, 3, 4), src_mask=added).sum().backward()
            mt.full((2,), float("nan")).nan_to_num()


def test_allow():
    with mt.debug.anomaly(allow="-inf"):
        assert mt.zeros(2).log().tolist() == [-float("inf")] * 2
        with pytest.raises(NonFiniteError, match="made inf"):
            mt.ones(2) / 0
    with pytest.raises(ValueError, match="allow expects any of 'nan', 'inf', '-inf', got 'infinity'"):
        mt.debug.anomaly(allow="infinity")


def test_without_check_nan_nothing_is_looked_at():
    with mt.autograd.detect_anomaly(check_nan=False):
        x = mt.zeros(1, requires_grad=True)
        (x.sqrt() * 0).sum().backward()
        assert OPS["relu"].running_body is OPS["relu"].body
    assert x.grad.isnan().all()


def test_nested_and_in_any_order():
    with mt.autograd.detect_anomaly(), mt.debug.anomaly():
        mt.autograd.set_detect_anomaly(False)
    with mt.debug.anomaly(), mt.autograd.detect_anomaly(), pytest.raises(NonFiniteError):
        mt.zeros(1).log()


def test_ops_within_the_first_autocast_are_looked_at(run_python):
    """The first region puts casts before the bodies: below what looks at them."""
    assert run_python(textwrap.dedent("""
        import minitorch as mt
        from minitorch.op import OPS
        with mt.debug.anomaly():
            with mt.autocast("cpu", dtype=mt.float16):
                try:
                    mt.full((2, 2), 1e4) @ mt.full((2, 2), 1e4)
                except FloatingPointError as error:
                    print(str(error).split(" at ")[0])
        print(OPS["matmul"].running_body.__wrapped__ is OPS["matmul"].body)
        print(OPS["relu"].running_body is OPS["relu"].body)
    """)).split("\n")[:3] == ["forward: matmul made inf", "True", "True"]


def test_other_threads_are_left_alone():
    found = []
    with mt.debug.anomaly():
        thread = threading.Thread(target=lambda: found.append(mt.zeros(1).log().item()))
        thread.start()
        thread.join()
    assert found == [-float("inf")]


@pytest.mark.filterwarnings("ignore")
def test_it_raises_where_pytorch_does(torch):
    """The same programs, under detect_anomaly, in both."""
    def programs(t):
        x = t.tensor([0.0, 4.0], requires_grad=True)
        yield lambda: (x.sqrt() * t.tensor([0.0, 1.0])).sum().backward()
        yield lambda: x.sqrt().sum().backward()
        yield lambda: t.where(x > 0, x.log(), t.zeros(2)).sum().backward()
        yield lambda: (x / x).sum()
        yield lambda: (x / 0 - x / 0).sum().backward()
        yield lambda: x.masked_fill(x > 0, float("-inf")).softmax(0).sum().backward()

    def outcomes(t):
        for program in programs(t):
            with t.autograd.detect_anomaly():
                try:
                    program()
                    yield "fine"
                except RuntimeError as error:
                    yield str(error).split("\n")[0].split(".")[0]

    assert list(outcomes(mt)) == list(outcomes(torch))
