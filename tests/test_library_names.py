"""What libraries above PyTorch (transformers, Lightning, accelerate, torchmetrics) ask for when they are imported."""
import copy
import importlib
import weakref

import pytest

import minitorch as mt
from minitorch import nn
from minitorch.errors import DistributedError, MissingError
from minitorch.utils.flop_counter import FlopCounterMode

ABSENT = {
    "distributed.tensor": "DTensor distribute_tensor", "distributed.device_mesh": "DeviceMesh init_device_mesh",
    "distributed.fsdp": "FullyShardedDataParallel fully_shard StateDictType",
    "distributed.fsdp.fully_sharded_data_parallel": "FullyShardedDataParallel",
    "distributed.optim": "ZeroRedundancyOptimizer", "distributed.algorithms.join": "Join",
    "distributed.algorithms.model_averaging.averagers": "ModelAverager",
    "export": "export ExportedProgram", "fx": "Proxy GraphModule", "fx.proxy": "ParameterProxy", "_C": "Graph Value",
}


@pytest.mark.parametrize("module", ABSENT)
def test_stand_ins_are_there_and_refuse(module):
    found = importlib.import_module(f"minitorch.{module}")
    for name in ABSENT[module].split():
        thing = getattr(found, name)
        assert not (isinstance(thing, type) and isinstance(mt.ones(1), thing))
        with pytest.raises(DistributedError if "distributed" in module else MissingError, match=name):
            thing(1)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = found.nonsense


def test_distributed_names():
    from minitorch.distributed.constants import default_pg_timeout
    from minitorch.distributed.distributed_c10d import _get_default_group
    from minitorch.distributed.tensor import Partial, Replicate, Shard

    assert default_pg_timeout.total_seconds() == 1800
    assert mt.distributed.ReduceOp.RedOpType.SUM == mt.distributed.ReduceOp.SUM
    with pytest.raises(ValueError, match="init_process_group"):
        _get_default_group()
    assert Shard(1) == Shard(1) != Shard(0) and Shard(1).is_shard(1) and not Shard(1).is_shard(0)
    assert Replicate().is_replicate() and Partial().is_partial("sum") and Partial().reduce_op == "sum"


def test_numbers_alone():
    assert mt.div(7, 2, rounding_mode="trunc").item() == 3 and mt.div(7, 2).dtype == mt.float32
    assert mt.add(7, 2, alpha=3).item() == 13 and mt.mul(2j, 3).dtype == mt.complex64
    assert mt.sub(7, 2.5).item() == 4.5 and mt.floor_divide(7, 2).item() == 3 and mt.add(True, True).dtype == mt.bool
    with pytest.raises(TypeError, match="pow"):
        mt.pow(7, 2)
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        mt.add("a", 1)


def test_parameter_of_the_attributes_of_another():
    p = nn.Parameter(mt.ones(2))
    twin = nn.Parameter(mt.zeros(2), **p.__dict__)
    assert twin.tolist() == [0, 0] and p.tolist() == [1, 1] and twin.requires_grad
    with pytest.raises(TypeError, match="'wrong'"):
        nn.Parameter(mt.ones(2), wrong=1)


def test_a_wrapper_of_an_optimizer():
    class Wrapper(mt.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

        def step(self, closure=None):
            return self.optimizer.step(closure)

    p = nn.Parameter(mt.ones(1))
    p.grad = mt.ones(1)
    Wrapper(mt.optim.SGD([p], lr=0.5)).step()
    assert p.item() == 0.5


def test_containers_fill_themselves_only_where_something_is_given():
    class Own(nn.ModuleDict):
        def __init__(self):
            super().__init__()
            self.ready = True

        def update(self, modules):
            assert self.ready

    Own()
    assert len(nn.ModuleList()) == len(nn.ParameterList()) == len(nn.ParameterDict()) == 0


def test_hooks_on_all_modules_with_keywords_and_after_errors():
    class Broken(nn.Module):
        def forward(self, x, times=1):
            if times == 0:
                raise ValueError("no")
            return x * times

    seen = []
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs, output)), with_kwargs=True, always_call=True)
    Broken()(2, times=3)
    with pytest.raises(ValueError, match="no"):
        Broken()(2, times=0)
    handle.remove()
    assert seen == [({"times": 3}, 6), ({"times": 0}, None)]


def test_compiled_modules_and_settings():
    from minitorch._dynamo.eval_frame import OptimizedModule, is_dynamo_supported

    assert isinstance(mt.compile(nn.Linear(1, 1)), OptimizedModule) and not isinstance(nn.Linear(1, 1), OptimizedModule)
    assert is_dynamo_supported() and mt._dynamo.mark_static_address(mt.ones(1)) is None
    device, dtype, non_blocking, _ = mt._C._nn._parse_to("cpu", mt.float16, True)
    assert (device, dtype, non_blocking) == (mt.device("cpu"), mt.float16, True)
    assert mt.utils.checkpoint.get_device_states(mt.ones(1)) == ([], [])


def test_loaders_and_trees():
    from minitorch.utils._pytree import SUPPORTED_NODES, Context, _get_node_type
    from minitorch.utils.data.dataloader import _BaseDataLoaderIter, _DatasetKind, _MultiProcessingDataLoaderIter

    loader = mt.utils.data.DataLoader([1, 2])
    iterator = iter(loader)
    assert isinstance(iterator, _BaseDataLoaderIter) and not isinstance(iterator, _MultiProcessingDataLoaderIter)
    assert loader._iterator is None and loader._dataset_kind == _DatasetKind.Map
    assert SUPPORTED_NODES[_get_node_type({"a": 1})].flatten_fn({"a": 1})[0] == [1] and Context is not None
    assert copy.deepcopy(nn.modules.module._IncompatibleKeys([], [])).missing_keys == []
    assert issubclass(nn.parameter.UninitializedParameter, nn.Parameter)


def test_shared_memory_in_safetensors():
    from minitorch.serialization.safetensors import torch as st

    x = mt.arange(6.0)
    tensors = {"b": x, "a": x, "c": x[:3], "d": mt.ones(2), "e": x.view(2, 3)}
    assert st.storage_ptr(x[1:]) == st.storage_ptr(x) and st.storage_size(x[1:]) == 24
    assert sorted(map(sorted, st._find_shared_tensors(tensors))) == [["a", "b", "c", "e"], ["d"]]
    assert st._remove_duplicate_names(tensors) == {"a": ["b", "c", "e"]}
    assert st._remove_duplicate_names(tensors, preferred_names=["e"]) == {"e": ["a", "b", "c"]}
    assert st._remove_duplicate_names(tensors, discard_names=["a", "b"]) == {"e": ["a", "b", "c"]}
    with pytest.raises(RuntimeError, match="entire storage"):
        st._remove_duplicate_names({"a": x[1:]})


def model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Sequential(nn.Linear(144, 5)))


def test_flops_of_modules_and_their_gradients():
    with FlopCounterMode(display=False) as counter:
        model()(mt.randn(2, 3, 8, 8)).sum().backward()
    linear = {"aten.addmm": 2880, "aten.mm": 5760}
    conv = {"aten.convolution": 15552, "aten.convolution_backward": 15552}
    assert counter.get_flop_counts() == {
        "Global": linear | conv, "Sequential": linear | conv, "Sequential.0": conv, "Sequential.3": linear,
        "Sequential.3.0": linear}
    assert counter.get_total_flops() == 39744
    assert "Sequential.0                 31.104K     78.26%" in counter.get_table()
    assert "Sequential.3.0" not in counter.get_table()


def test_flops_of_functions(capsys):
    F = nn.functional
    with FlopCounterMode() as counter:
        _ = mt.ones(3, 4) @ mt.ones(4, 5), mt.ones(2, 3, 4) @ mt.ones(2, 4, 5), mt.ones(4) @ mt.ones(4)
        F.conv_transpose1d(mt.ones(1, 2, 5), mt.ones(2, 3, 3))
        x = mt.ones(1, 1, 4, 4, requires_grad=True)
        F.conv2d(x, mt.ones(1, 1, 3, 3)).sum().backward()
        F.conv2d(mt.ones(4, 7, 6), mt.ones(8, 2, 3, 3), groups=2)
    assert counter.get_flop_counts() == {"Global": {
        "aten.mm": 120, "aten.bmm": 240, "aten.convolution": 180 + 72 + 5760, "aten.convolution_backward": 72}}
    assert "Global" in capsys.readouterr().out
    before = weakref.ref(x)
    del x
    assert before() is None  # what was counted is not kept
