"""Names around the core: the GPU that is not there, switches, TorchScript, storages, float8, tests' comparisons."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.testing import assert_close, make_tensor

no_gpu = pytest.mark.skipif(mt.cuda.is_available(), reason="there is a GPU")


@no_gpu
def test_cuda_without_a_gpu():
    for call in (lambda: mt.zeros(2).cuda(), lambda: mt.zeros(2, device="cuda"), lambda: nn.Linear(1, 1).cuda(),
                 mt.cuda.current_device, mt.cuda.synchronize, mt.cuda.get_device_name, mt.cuda.mem_get_info,
                 mt.cuda.Event, mt.cuda.current_stream):
        with pytest.raises(AssertionError, match="CuPy"):
            call()
    assert mt.cuda.device_count() == 0 and mt.cuda.memory_allocated() == mt.cuda.max_memory_reserved() == 0
    assert mt.cuda.memory_stats() == {} and mt.cuda.get_rng_state_all() == [] and not mt.cuda.is_bf16_supported()
    assert mt.cuda.manual_seed_all(1) is None and mt.cuda.empty_cache() is None
    assert not mt.accelerator.is_available() and mt.accelerator.current_accelerator() is None
    assert not mt.xpu.is_available() and not mt.mps.is_available()
    with mt.cuda.device(None), mt.cuda.stream(None):
        pass
    with pytest.raises(RuntimeError, match="mps"):
        mt.zeros(2, device="mps")


def test_the_default_device():
    assert str(mt.get_default_device()) == "cpu"
    with mt.device("meta"):
        assert mt.zeros(2).device.type == "meta"
    mt.set_default_device("cpu")
    assert mt.zeros(2).device.type == "cpu"
    mt.set_default_device(None)
    assert repr(mt.device(type="cuda", index=1)) == "device(type='cuda', index=1)"


def test_switches():
    b = mt.backends
    with b.cudnn.flags(enabled=False, benchmark=True):
        assert b.cudnn.benchmark and not b.cudnn.enabled
    assert not b.cudnn.benchmark and b.cudnn.enabled and not b.mps.is_available() and not b.cudnn.is_available()
    mt.set_float32_matmul_precision("high")
    assert b.cuda.matmul.allow_tf32 and mt.get_float32_matmul_precision() == "high"
    b.cuda.matmul.allow_tf32 = False
    assert mt.get_float32_matmul_precision() == "highest"
    with pytest.warns(UserWarning, match="not one of"):
        mt.set_float32_matmul_precision("low")
    mt.use_deterministic_algorithms(True, warn_only=True)
    assert mt.get_deterministic_debug_mode() == 1
    mt.set_deterministic_debug_mode("default")
    assert not mt.are_deterministic_algorithms_enabled()
    with b.cuda.sdp_kernel(enable_math=False):
        assert not b.cuda.math_sdp_enabled()
    assert b.cuda.math_sdp_enabled() and b.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")


def test_torchscript_runs_as_python():
    @mt.jit.script
    def double(x):
        return 2 * x

    lin, x = nn.Linear(2, 3), mt.ones(1, 2)
    scripted, traced = mt.jit.script(lin), mt.jit.trace(lin, x)
    assert double(4) == 8 and mt.equal(scripted(x), lin(x)) and mt.equal(traced(x), lin(x))
    assert isinstance(scripted, mt.jit.ScriptModule) and isinstance(scripted, nn.Linear)
    assert scripted.weight is lin.weight and "def double" in double.code and not mt.jit.is_scripting()
    for call in (lambda: scripted.save("f"), lambda: mt.jit.load("f"), lambda: mt.jit.save(scripted, "f")):
        with pytest.raises(NotImplementedError, match="state_dict"):
            call()
    with pytest.raises(RuntimeError, match="shapes"):
        mt.jit.trace(lin, mt.ones(1, 5))
    assert mt.jit.annotate(list, [1]) == [1] and mt.jit.wait(mt.jit.fork(double, 3)) == 6


def test_compile_takes_pytorchs_arguments():
    f = mt.compile(lambda x: x + 1, mode="reduce-overhead", dynamic=True, backend="inductor", fullgraph=False)
    assert f(mt.ones(2)).tolist() == [2, 2]
    assert mt.compile(backend="eager")(len) is len and mt.compile(len, disable=True) is len
    with pytest.raises(RuntimeError, match="Invalid backend: 'foo'"):
        mt.compile(len, backend="foo")
    with pytest.raises(RuntimeError, match="mode or options"):
        mt.compile(len, mode="default", options={})
    mt._dynamo.reset()
    mt._dynamo.config.suppress_errors = True
    assert not mt.compiler.is_compiling()
    g = mt.compile(mt.compiler.disable(lambda x: x * 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert g(mt.ones(2)).tolist() == g(mt.ones(2)).tolist() == [2, 2]


def test_storages():
    x = mt.arange(6.0).view(2, 3)
    assert x.untyped_storage().nbytes() == 24 and x.storage().size() == 6 and x.storage()[4] == 4
    assert x[1:].untyped_storage().data_ptr() == x.untyped_storage().data_ptr() == x.data_ptr()
    assert x.t().storage().tolist() == [0, 1, 2, 3, 4, 5] and mt.is_storage(x.storage())
    x.storage()[0] = 7
    assert x[0, 0] == 7 and mt.FloatStorage([1, 2]).tolist() == [1, 2] and len(mt.LongStorage(3)) == 3
    assert x.untyped_storage().clone().data_ptr() != x.data_ptr()
    assert repr(mt.FloatStorage([1])) == " 1.0\n[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 1]"


def test_float8():
    pytest.importorskip("ml_dtypes")
    x = mt.tensor([1.0, 0.3, 500.0, float("nan"), float("-inf")])
    np.testing.assert_array_equal(x.to(mt.float8_e4m3fn).float().numpy(), [1, 0.3125, 448, np.nan, -448])
    np.testing.assert_array_equal(x.to(mt.float8_e5m2).float().numpy(), [1, 0.3125, 512, np.nan, -np.inf])
    assert mt.finfo(mt.float8_e4m3fn).max == 448 and mt.float8_e5m2.itemsize == 1
    with pytest.raises(RuntimeError, match="Float8"):
        mt.promote_types(mt.float8_e4m3fn, mt.float32)
    a, one = mt.eye(4).to(mt.float8_e4m3fn), mt.tensor(2.0)
    y = mt._scaled_mm(a, a, scale_a=one, scale_b=mt.ones(1, 4), bias=mt.ones(4), out_dtype=mt.float32)
    assert y.tolist() == (2 * mt.eye(4) + 1).tolist() and mt._scaled_mm(a, a, one, one).dtype is mt.float8_e4m3fn
    for bad in ((mt.eye(4), a, one, one), (a, a[:2], one, one), (a, a, mt.ones(3), one), (a, a, one.double(), one)):
        with pytest.raises(RuntimeError, match="_scaled_mm"):
            mt._scaled_mm(*bad)


def test_assert_close():
    x = mt.tensor([1.0, 2.0])
    for a, b in ((x, x + 1e-7), ([x, 1], [x, 1]), ({"a": x}, {"a": x}), (np.ones(2), np.ones(2)), (None, None)):
        assert_close(a, b)
    assert_close(x, x.double(), check_dtype=False)
    assert_close(mt.tensor(float("nan")), mt.tensor(float("nan")), equal_nan=True)
    for a, b, words in [
        (x, mt.tensor([1.0, 2.5]), r"Mismatched elements: 1 / 2 \(50.0%\)\nGreatest absolute difference: 0.5 at index "
                                   r"\(1,\) \(up to 1e-05 allowed\)\nGreatest relative difference: 0.2"),
        (x, x.double(), "'dtype' do not match"), (x, x[:1], "'shape' do not match"),
        ([x, x], [x, x + 1], r"item \[1\]"), ({"a": 1}, {"b": 1}, "keys"), ([1], [1, 2], "length"),
        (mt.tensor([1]), mt.tensor([2]), "not equal"), (1.0, 2.0, "Scalars are not close"), (True, False, "Booleans"),
        (1, 1.0, "types do not match"), (float("nan"), float("nan"), "not close"),
    ]:
        with pytest.raises(AssertionError, match=words):
            assert_close(a, b)
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(ValueError, match="both"):
        assert_close(1, 1, rtol=1.0)
    with pytest.raises(TypeError, match="No comparison pair"):
        assert_close("a", "a")


def test_make_tensor():
    for dtype in (mt.float32, mt.int64, mt.bool, mt.uint8, mt.complex64):
        t = make_tensor(3, 4, dtype=dtype, device="cpu")
        assert t.dtype is dtype and t.shape == (3, 4)
    t = make_tensor((50,), dtype=mt.float64, low=2, high=3, requires_grad=True)
    assert t.requires_grad and t.min() >= 2 and t.max() < 3
    assert not make_tensor(4, 4, dtype=mt.float32, noncontiguous=True).is_contiguous()
    assert (make_tensor(100, dtype=mt.int8, low=0, high=2, exclude_zero=True) != 0).all()


def test_typename_version_and_config():
    assert mt.typename(mt.ones(1)) == "torch.FloatTensor" and mt.typename(1) == "int"
    assert mt.version.cuda is None and "numpy" in mt.__config__.show()
    assert mt.zeros(3, 2).resize_as_(mt.zeros(2)).shape == (2,)
    with mt.random.fork_rng():
        first = mt.rand(2)
    assert mt.equal(first, mt.rand(2))


def test_event_files(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("PIL")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from minitorch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("loss", mt.tensor(1.0 / (step + 1)), step)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 1)
        writer.add_histogram("h", mt.arange(10.0), 0)
        writer.add_image("i", mt.rand(1, 4, 5), 0)
        writer.add_images("many", mt.rand(3, 3, 4, 5), 0)
        writer.add_text("t", "hello", 0)
        writer.add_hparams({"lr": 0.1, "name": "x", "flag": True}, {"accuracy": 0.5})
        writer.add_embedding(mt.rand(3, 2), ["a", "b", "c"])
        writer.add_pr_curve("pr", mt.tensor([0, 1, 1]), mt.tensor([0.1, 0.9, 0.4]))
        with pytest.warns(UserWarning, match="add_graph"):
            writer.add_graph(nn.Linear(1, 1))
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("none", mt.zeros(0))
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    assert [(e.step, round(e.value, 4)) for e in found.Scalars("loss")] == [(0, 1.0), (1, 0.5), (2, 0.3333)]
    assert found.Histograms("h")[0].histogram_value.num == 10 and set(found.Tags()["images"]) == {"i", "many"}
    assert (tmp_path / "both_a").is_dir() and (tmp_path / "projector_config.pbtxt").exists()
    writer.add_scalar("later", 1.0)
    writer.close()


def test_names_of_tracing_and_building_can_be_imported():
    from minitorch.fx import wrap  # type: ignore[import-not-found]
    from minitorch.jit.annotations import BroadcastingList2, List  # type: ignore[import-not-found]
    from minitorch.utils.cpp_extension import BuildExtension, CUDAExtension, load

    assert wrap(len)("ab") == 2 and wrap("name") == "name" and List[int] is BroadcastingList2[int]
    assert mt.fx.wrap is wrap
    for call, words in [(lambda: mt.fx.symbolic_trace(mt.nn.Linear(1, 1)), "symbolic_trace.*register_forward_hook"),
                        (lambda: load("fused", ["fused.cpp"]), "'fused' needs.*autograd.Function"),
                        (lambda: CUDAExtension("fused", []), "'fused'"), (BuildExtension, "BuildExtension")]:
        with pytest.raises(RuntimeError, match=words):
            call()
    with pytest.raises(AttributeError, match=r"'torch\.fx'.*'Trace'"):
        _ = mt.fx.Trace


def test_many_tensors_as_one_flat_one():
    from minitorch._utils import _flatten_dense_tensors, _unflatten_dense_tensors  # type: ignore[import-not-found]

    parts = [mt.arange(4.0).view(2, 2).t(), mt.zeros(0), mt.tensor(7.0)]
    flat = _flatten_dense_tensors(parts)
    assert flat.tolist() == [0, 2, 1, 3, 7]
    back = _unflatten_dense_tensors(flat * 2, parts)
    assert isinstance(back, tuple) and [x.tolist() for x in back] == [[[0, 4], [2, 6]], [], 14]


def test_collectives_with_gradients_in_a_world_of_one():
    from minitorch.distributed import nn as collectives  # type: ignore[import-not-found]

    assert mt.distributed.nn is collectives
    x = mt.arange(3.0, requires_grad=True)
    with pytest.raises(ValueError, match="not been initialized"):
        collectives.all_reduce(x)
    mt.distributed.init_process_group("gloo", rank=0, world_size=1, init_method="tcp://127.0.0.1:1")
    try:
        one = [collectives.all_reduce(x), collectives.broadcast(x, 0), collectives.reduce(x, 0),
               collectives.scatter([x]), collectives.reduce_scatter(mt.empty(3), [x]),
               *collectives.all_gather(x), *collectives.gather(x),
               *collectives.all_to_all([mt.empty(3)], [x])]
        assert all(y.tolist() == [0, 1, 2] and y is not x for y in one)
        sum(one).sum().backward()
        assert x.grad.tolist() == [8, 8, 8]
        with pytest.raises(ValueError, match="src 1"):
            collectives.broadcast(x, 1)
        with pytest.raises(ValueError, match=r"tensors expects one.*got 2"):
            collectives.scatter([x, x])
    finally:
        mt.distributed.destroy_process_group()


def test_cuda_asks_for_a_gpu():
    for call in (lambda: mt.zeros(1).cuda("cpu"), lambda: mt.nn.Linear(1, 1).cuda(mt.device("cpu"))):
        with pytest.raises(RuntimeError, match="must be cuda device"):
            call()


def test_embeddings_with_images(tmp_path):
    pytest.importorskip("tensorboard")
    image = pytest.importorskip("PIL.Image")
    from minitorch.utils.tensorboard import SummaryWriter

    pictures = mt.rand(3, 1, 2, 2)
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(mt.rand(3, 2), label_img=pictures, global_step=7)
        with pytest.raises(AssertionError, match="#images"):
            writer.add_embedding(mt.rand(2, 2), label_img=pictures)
        with pytest.raises(AssertionError, match="square"):
            writer.add_embedding(mt.rand(3, 2), label_img=mt.rand(3, 1, 2, 3))
    sprite = np.asarray(image.open(tmp_path / "00007" / "default" / "sprite.png"))
    assert sprite.shape == (4, 4, 3) and not sprite[2:, 2:].any()
    np.testing.assert_array_equal(sprite[2:, :2, 0], (pictures[2, 0].numpy() * 255).astype(np.uint8))
    assert "single_image_dim: 2" in (tmp_path / "projector_config.pbtxt").read_text()


def test_swapped_tensors_and_functional():
    p, q = nn.Parameter(mt.ones(2)), mt.zeros(3)
    p.mark = "p"
    mt.utils.swap_tensors(p, q)
    assert type(p) is mt.Tensor and p.shape == (3,) and type(q) is nn.Parameter and q.mark == "p"
    with pytest.raises(RuntimeError, match="history"):
        mt.utils.swap_tensors(q * 2, p)
    assert mt.functional.einsum is mt.einsum
    with pytest.raises(AttributeError, match="'einsum'"):
        _ = mt.functional.einsums
