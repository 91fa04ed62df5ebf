"""`minitorch explain`: everything can be described, what is said agrees with what runs, and mistakes get a line."""
from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from minitorch_kernels import disassembly, table

import minitorch
from minitorch import selfcheck
from minitorch.cli import main
from minitorch.explanation import assembly, crossovers, describe, listing, lookup, registers
from minitorch.explanation.choices import choices
from minitorch.explanation.description import formula_in, users
from minitorch.explanation.source import Source, idea_at, place_of
from minitorch.explanation.versions import reasons
from minitorch.op import OPS

ROOTS = (Path(minitorch.__file__).parent.parent, Path(table.__file__).parent.parent)
CASES = selfcheck.samples().load()

MOST_USED = """
    matmul mm bmm linear bilinear conv1d conv2d conv3d conv_transpose2d max_pool2d avg_pool2d adaptive_avg_pool2d
    batch_norm layer_norm rms_norm group_norm instance_norm softmax log_softmax logsumexp cross_entropy nll_loss
    mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy binary_cross_entropy_with_logits kl_div
    triplet_margin_loss cosine_similarity relu leaky_relu elu selu gelu silu mish softplus sigmoid tanh hardswish glu
    scaled_dot_product_attention attend embedding dropout rnn_tanh lstm gru lstm_cell gru_cell recurrent
    add sub mul div pow exp log sqrt abs sin erf sum mean var std prod cumsum clamp where gather
    sgd adam adamw adagrad rmsprop adadelta adamax nadam radam rprop asgd adafactor muon lbfgs
    k.matmul k.conv2d k.conv2d_dx k.conv2d_dw k.softmax k.attention k.layer_norm k.batch_norm k.max_pool k.cross_entropy
    k.adam_step k.sgd_step k.rmsprop_step k.adagrad_step
    nn.Linear nn.Conv2d nn.LSTM nn.GRU nn.RNN nn.LayerNorm nn.BatchNorm2d nn.MultiheadAttention nn.Embedding nn.ReLU
    nn.TransformerEncoderLayer nn.CrossEntropyLoss nn.MaxPool2d
""".split()  # noqa: SIM905


def spelled(kind, name):
    return {"kernel": "k.", "layer": "nn.", "optimizer": "optim.", "method": "Tensor."}.get(kind, "") + name


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITORCH_CACHE", str(tmp_path))
    return tmp_path


# What is described


@pytest.mark.parametrize("kind", lookup.KINDS)
def test_everything_can_be_described(kind):
    for name in lookup.every()[kind]:
        found = describe(spelled(kind, name))
        assert found.kind == kind, name
        assert found.signature.startswith(found.name if kind != "kernel" else f"k.{name}("), name
        file, _, line = found.location.partition(":")
        path = next(root / file for root in ROOTS if (root / file).is_file())
        text = path.read_text("utf-8").split("\n")[int(line) - 1]
        assert "def " in text or "class " in text or "lambda" in text, f"{name}: {found.location} is {text!r}"


def test_every_op_with_gradients_shows_them():
    differentiable = {case.name for case in CASES if case.name in OPS and case.grad}
    assert len(differentiable) > 150
    assert [name for name in differentiable if "d" not in describe(name).gradient] == []


def test_the_kernels_are_those_that_run():
    """An independent look: the samples are run, and each kernel that they call in an op must be named."""
    around = {"copy", "add_into", "unbroadcast", "shares_memory", "sum"}  # the engine's own
    wrong = {}
    for case in CASES:
        if case.name not in OPS or case.call is not None or case.family in ("copies", "creation"):
            continue
        called, depth = set(), []

        def note(name, version, run, arguments, options, called=called, depth=depth):
            if not depth:  # what a kernel's reference calls is not the op's
                called.add(name)
            depth.append(name)
            result = run(*arguments, **options)
            depth.pop()
            return result

        sample = case.samples[0]
        with warnings.catch_warnings(), np.errstate(all="ignore"), table.use("reference"):
            warnings.simplefilter("ignore")
            trial = selfcheck.Trial(case, sample, "float64")
            with table.watch(note):
                ys = trial()
                if trial.leaves and sample.grad:
                    selfcheck.gradients(trial, [np.ones(y.shape) if y.requires_grad else None for y in ys])
        found = describe(case.name)
        missing = called.difference(around, found.kernels, *(describe(part).kernels for part in found.parts))
        if missing:
            wrong[case.id] = missing
    assert wrong == {}


@pytest.mark.parametrize("name", MOST_USED)
def test_the_most_used_have_a_formula(name):
    formula = describe(name).formula
    assert 2 < len(formula) < 120 and not formula.endswith("."), name


def test_softmax():
    found = describe("softmax")
    assert found.location == f"minitorch/ops/softmax.py:{line_of('ops/softmax.py', 'def softmax(')}"
    assert found.signature == "softmax(x, dim=None, dtype=None)"
    assert found.formula == "exp(x) / sum(exp(x)) along `dim`"
    assert found.gradient == "dx = lambda dy: k.softmax_dx(dy, y, dim)"
    assert (found.forward, found.backward) == (("softmax",), ("softmax_dx",))
    (case,) = [case for case in CASES if case.name == "softmax"]
    assert [(p.name, p.samples, p.errors) for p in found.proofs] == [("softmax", len(case.samples), len(case.errors))]
    assert "float32" in found.proofs[0].dtypes and found.proofs[0].checks[-1] == "second derivatives"
    assert found.proofs[0].location.partition("/")[2].startswith("softmax.py:")


def test_conv2d_resolves_the_names_that_its_factory_gives():
    found = describe("conv2d")
    assert found.kernels[:3] == ("conv2d", "conv2d_dx", "conv2d_dw")
    assert "kernel = 'conv2d'" in found.gradient and found.gradient.count("def ") == 5
    assert describe("conv1d").kernels[0] == "conv2d"  # one dimension runs as two
    versions = {v.name: v for v in found.entries[0].versions}
    assert versions["winograd"].location.startswith("minitorch_kernels/cpu/winograd.py:")
    assert "the direct sum is faster for this shape" in versions["winograd"].refuses
    assert any("256 places" in reason for reason in versions["columns"].refuses)


def test_matmul_shows_its_helpers():
    found = describe("matmul")
    assert found.gradient.startswith("da = lambda dy: _left(k, dy, b, an)\n\ndb = lambda dy: _right(k, dy, a, bn)")
    assert "def _left(" in found.gradient and "def _flat(" in found.gradient
    assert [v.name for v in found.entries[0].versions][:2] == ["numba", "blas"]


def test_functions_layers_and_optimizers():
    assert describe("F.cross_entropy").parts[-1] == "cross_entropy_classes"
    assert "k.cross_entropy_dx" in describe("cross_entropy").gradient
    assert describe("nn.Linear").parts == ("linear",) and describe("nn.Linear").kernels == ("linear", "matmul", "sum")
    assert "nn.MultiheadAttention" in describe("nn.TransformerEncoderLayer").parts
    assert "lstm" in describe("nn.LSTM").parts and "max_pool2d" in describe("nn.MaxPool2d").parts
    adam = describe("adam")
    assert adam.name == "optim.Adam" and adam.kernels == ("adam_steps", "adam_step")
    assert [p.name for p in adam.proofs] == ["k.adam_steps", "k.adam_step"]
    assert "conv2d" in users("conv2d_dx") or "conv_transpose2d" in users("conv2d_dx")


def test_names():
    assert lookup.find("k.softmax").kind == "kernel" and lookup.find("softmax").kind == "op"
    assert lookup.find("torch.nn.functional.gelu").name == lookup.find("F.gelu").name == "gelu"
    assert lookup.find("Tensor.add_").name == lookup.find("add_").name == "add"
    assert lookup.find("Conv2d").name == "nn.Conv2d" and lookup.find("ADAMW").name == "optim.AdamW"
    assert lookup.find("Tensor.backward").kind == "method"


@pytest.mark.parametrize("wrong, near", [
    ("softmx", "'softmax'"), ("nn.Lineer", "'Linear'"), ("k.conv2_dx", "'conv2d_dx'"), ("nn.softmax", "'softmax'"),
    ("optim.Adm", "'Adam'"), ("zzzzqq", ""), ("", "")])
def test_unknown_names(wrong, near, capsys):
    with pytest.raises(ValueError, match="is named") as caught:
        describe(wrong)
    assert near in str(caught.value) and "\n" not in str(caught.value)
    assert main(["explain", wrong]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_formula_in():
    assert formula_in(None) == formula_in("") == formula_in("Two words.") == ""
    assert formula_in("Words.\n\ny = x + 1\n\n>>> z = 2") == "y = x + 1"
    assert formula_in("Words.\n\n>>> z = 2") == ""


def test_reasons_of_predicates():
    least = 12

    def refuses(x):
        if x.ndim:
            return f"fewer than {least} elements" if x.size < least else None
        return "no" if x is None else _other(x) or None

    assert reasons(refuses) == ["fewer than 12 elements", "no", "the other says no"]
    assert reasons(lambda x: None if x else "zero") == ["zero"]


def _other(x):
    """Not this text."""
    return None if x.shape == "nor this" else "the other says no"


def test_what_has_no_file():
    made: dict = {}
    exec(compile("def typed(k, x, /):\n    return x", "<prompt>", "exec"), made)
    assert Source(made["typed"]).text == "" and Source(made["typed"]).node is None
    assert place_of("minitorch_kernels.nowhere:nothing") == "minitorch_kernels.nowhere"
    assert idea_at("minitorch_kernels.nowhere:nothing") == ""
    assert idea_at("minitorch_kernels.ladder.conv2d:loops_dx").startswith("The same seven loops")
    assert idea_at("minitorch_kernels.ladder.conv2d:rows_dw").startswith("dw by rows")


# Which version runs


@pytest.mark.parametrize("size, runs", [("8x8", "blas"), ("65x65", "numba")])
def test_choice_of_a_kernel_agrees_with_the_table(size, runs):
    pytest.importorskip("numba")
    (choice,) = choices("k.matmul", [size, size])
    arrays = [np.zeros([int(n) for n in size.split("x")], np.float32)] * 2
    assert choice.version == runs and choice.text == table.explain("matmul", *arrays)


def test_choices_of_an_op_forward_and_backward():
    found = {choice.kernel: choice for choice in choices("softmax", ["3x4"], "float64", options={"dim": 1})}
    assert {"softmax", "softmax_dx"} <= set(found)
    y = np.zeros((3, 4))
    assert found["softmax_dx"].text == table.explain("softmax_dx", y, y, 1)
    assert found["softmax_dx"].arguments == "3x4, 3x4, 1"
    with table.use("reference"):
        assert {choice.version for choice in choices("softmax", ["3x4"])} == {"reference"}


def test_choices_of_functions_layers_and_optimizers():
    assert "cross_entropy" in [c.kernel for c in choices("cross_entropy", ["4x3", "4:int64"])]
    linear = choices("nn.Linear", ["2x3"], options={"in_features": 3, "out_features": 5})
    assert linear[0].kernel == "linear" and linear[0].arguments == "2x3, 5x3, 5"
    assert "sgd_steps" in [c.kernel for c in choices("sgd", ["2x3", "3"], options={"lr": 0.1})]
    assert choices("Tensor.tolist", ["scalar"]) == []


@pytest.mark.parametrize("name, shapes, message", [
    ("matmul", ["3x4", "5x6"], "cannot be multiplied"), ("matmul", ["3x4"], "do not make a call"),
    ("matmul", ["3*4"], "a shape is written"), ("k.softmax", ["3x4"], "missing a required argument: 'dim'"),
    ("matmul", ["2x2:floaty", "2x2"], "floaty"), ("nn.Linear", ["2x3"], "do not make a call")])
def test_wrong_shapes(name, shapes, message, capsys):
    assert main(["explain", name, "--shape", *shapes]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


# Crossovers


def test_a_measurement_is_kept_and_read_back(cache):
    (contest,) = crossovers.contests("add")
    assert crossovers.kept(contest) is None
    assert "not measured on this machine" in "\n".join(crossovers.text_for(("add",)))
    found = crossovers.measure(contest, rounds=1, block=1e-6, sizes=(64, 1 << 16))
    assert [(size, chosen) for size, _, _, chosen in found.rows] == [(64, False), (1 << 16, True)]
    assert crossovers.kept(contest) == found
    text = "\n".join(crossovers.text_for(("add", "mul")))
    assert found.where["date"] in text and "POOLED = 65,536 elements" in text and "reference" in text
    assert crossovers.kept(crossovers.contests("exp")[0]) is None  # kept by contest


@pytest.mark.parametrize("content", [
    "", "{", "[1]", '{"KEY": 3}', '{"KEY": {"rows": [[1, 2]], "where": {}}}', '{"KEY": {"rows": [], "where": {}}}',
    '{"KEY": {"rows": [[1, -1, 1, 0]], "where": {}}}', '{"KEY": {"rows": [[1, 1, 1, 0]], "where": 5}}'])
def test_a_broken_file_is_as_none(cache, content):
    (contest,) = crossovers.contests("add")
    (cache / "crossovers.json").write_text(content.replace("KEY", contest.key))
    assert crossovers.kept(contest) is None
    assert "not measured" in str(describe("add"))
    crossovers.measure(contest, rounds=1, block=1e-6, sizes=(64,))
    assert crossovers.kept(contest) is not None


def test_where_two_versions_cross():
    (contest,) = crossovers.contests("matmul")
    rows = ((8, 1.0, 9.0, False), (16, 2.0, 1.0, False), (32, 2.0, 3.0, True), (64, 9.0, 1.0, True),
            (96, 9.0, 1.0, True))
    found = crossovers.Measured(contest, rows, {"date": "2026-01-01"})
    assert (found.crossover, found.chosen_from) == (64, 32)
    assert "numba is faster from 64 on; the code takes it from 32 on" in found.lines()[-2]
    assert found.lines()[3].endswith("(the other is faster)") and not found.lines()[4].endswith(")")
    assert crossovers.Measured(contest, rows[:1], {}).crossover is None


@pytest.mark.parametrize("contest", crossovers.CONTESTS, ids=lambda c: c.key)
def test_every_contest_is_between_versions_that_agree(contest):
    pytest.importorskip("numba")
    arguments = contest.arguments(contest.sizes[1], "float32")
    a, b = (crossovers._run(contest.kernel, name)(*arguments) for name in (contest.slow_start, contest.challenger))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert contest.in_code() and isinstance(crossovers._chosen(contest, arguments), bool)


def test_what_competes_with_nothing(capsys, cache):
    assert main(["explain", "reshape", "--measure"]) == 1
    assert "no two versions of reshape compete" in capsys.readouterr().err


# Generated code

LISTING = """
\t.section\t.rodata.cst4,"aM",@progbits,4
numbers:
\t.long 4
\t.text
\t.type _ZN1a1bE,@function
_ZN1a1bE:
\tmovq %rdi, %rax
.LBB0_1:
\tvmovups (%rdi), %zmm0
\tvfmadd231ps %zmm0, %zmm1, %zmm2
\tvaddss %xmm0, %xmm1, %xmm1
\tjne .LBB0_1
.LBB0_2:
\tvaddps %ymm0, %ymm1, %ymm1
\tcallq *%rax
\tjl .LBB0_2
\tretq
_ZN7cpython1a1bE:
\tretq
"""


def test_reading_assembly():
    ((name, body),) = disassembly.functions_in(LISTING).items()
    assert name == "_ZN1a1bE"
    assert disassembly.counted(body) == {"instructions": 9, "fused": {"512 bits": 1}, "scalar": 1, "calls": 1,
                                         "vector": {"512 bits": 1, "256 bits": 1}}
    assert [loop[0] for loop in disassembly.loops(body)] == [".LBB0_1:", ".LBB0_2:"]
    arm = disassembly.counted("\tfmla v0.4s, v1.4s, v2.4s\n\tfadd v0.4s, v1.4s, v2.4s\n\tbl _f")
    assert arm["fused"] == {"128 bits": 1} and arm["vector"] == {"128 bits": 1} and arm["calls"] == 1


def test_assembly_of_a_kernel():
    pytest.importorskip("numba")
    text = assembly.text_of_code("k.add_into")
    assert "add_into, version numba" in text and "the inner loop of" in text and " 0 instructions" not in text
    function = text.split("\n")[1].split(":")[0].strip()
    assert "define" in assembly.text_of_code("k.add_into", function, llvm=True)
    with pytest.raises(ValueError, match="not nothing"):
        assembly.text_of_code("k.add_into", "nothing")
    with pytest.raises(ValueError, match="compiled by Numba"):
        assembly.text_of_code("reshape")


REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4axpyfPfS_i' for 'sm_90'
ptxas info    : Function properties for _Z4axpyfPfS_i
    8 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 8 bytes cumulative stack size, 128 bytes smem
ptxas info    : Compiling entry function 'plain' for 'sm_80'
ptxas info    : Function properties for plain
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""


def test_registers(tmp_path, monkeypatch, capsys):
    spilling, plain = registers.parsed(REPORT)
    assert spilling == registers.Usage("axpy", "sm_90", 32, 8, 16, 24, 128)
    assert str(plain) == "plain: 8 registers, no spills, 0 bytes of stack, 0 bytes of shared memory (sm_80)"
    assert main(["explain", "cumprod", "--registers"]) == 0
    assert "no CUDA version" in capsys.readouterr().out
    assert main(["explain", "--registers", str(tmp_path / "none.cu")]) == 1
    monkeypatch.setattr(registers.shutil, "which", lambda *_, **__: None)
    (tmp_path / "a.cu").write_text("")
    assert main(["explain", "--registers", str(tmp_path / "a.cu")]) == 1
    assert "nvcc, which is not installed" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs nvcc")
def test_registers_by_nvcc(tmp_path):
    path = tmp_path / "a.cu"
    path.write_text("__global__ void twice(float* x) { x[threadIdx.x] *= 2; }")
    (found,) = registers.usage(path.read_text(), "a.cu")
    assert found.name == "twice" and 0 < found.registers < 64
    assert registers.text_for("", str(path)) == str(found)
    path.write_text("__global__ void twice(float* x) { y = 2; }")
    with pytest.raises(RuntimeError, match="does not compile a"):
        registers.usage(path.read_text(), "a.cu")
    lines = registers.text_for("softmax").splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["columns", "columns_dx", "rows", "rows_dx"]
    assert all("no spills" in line and line.endswith("(sm_90)") for line in lines)


# The command


def test_the_command(capsys, cache):
    assert main(["explain", "softmax"]) == 0
    text = capsys.readouterr().out
    for line in ("softmax: a differentiable op, minitorch/ops/softmax.py", "exp(x) / sum(exp(x)) along `dim`",
                 "dx = lambda dy: k.softmax_dx(dy, y, dim)", "reference  minitorch_kernels/softmax.py:",
                 "minitorch selfcheck --only softmax"):
        assert line in text
    assert main(["explain", "k.softmax_dx", "--source"]) == 0
    assert "return y * (dy - xp.sum(" in capsys.readouterr().out
    assert main(["explain", "matmul", "--shape", "2x2", "2x2"]) == 0
    assert "matmul(2x2, 2x2) runs blas" in capsys.readouterr().out
    assert main(["explain", "softmax", "--shape", "2x2", "--with", "dim"]) == 1
    assert "--with: expects NAME=VALUE" in capsys.readouterr().err


def test_the_list_has_everything(capsys):
    assert main(["explain"]) == 0
    text = capsys.readouterr().out
    assert text.rstrip("\n") == listing.listing()
    for name in ("softmax ", "conv2d_dx ", "cross_entropy,", "Linear,", "AdamW,", "adam_steps "):
        assert name in text
    assert max(map(len, text.split("\n"))) <= 160


def test_selfcheck_of_a_name_that_no_op_has_fails(capsys):
    assert not selfcheck.run(only="no_such_op")
    assert "no op's name contains 'no_such_op'" in capsys.readouterr().out


def test_selfcheck_of_one(capsys):
    assert main(["selfcheck", "--only", "softmin"]) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) > 2 and all("softmin " in line for line in lines[1:-1])


def test_describing_loads_neither_numba_nor_samples():
    code = ("import sys, minitorch.explanation as e; d = e.describe('conv2d'); d.gradient, d.entries; "
            "print([m for m in ('numba', 'minitorch_samples', 'samples') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def line_of(file, text):
    lines = (Path(minitorch.__file__).parent / file).read_text("utf-8").split("\n")
    return next(i for i, line in enumerate(lines, 1) if line.startswith(text))
