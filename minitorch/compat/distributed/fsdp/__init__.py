"""`torch.distributed.fsdp` by name: models whose parameters are spread over processes."""
from minitorch._absent import several
from minitorch.errors import absent_from

globals().update(several(
    "torch.distributed.fsdp",
    "BackwardPrefetch CPUOffload CPUOffloadPolicy FSDPModule FullOptimStateDictConfig FullStateDictConfig "
    "FullyShardedDataParallel LocalOptimStateDictConfig LocalStateDictConfig MixedPrecision MixedPrecisionPolicy "
    "OffloadPolicy OptimStateDictConfig OptimStateKeyType ShardedOptimStateDictConfig ShardedStateDictConfig "
    "ShardingStrategy StateDictConfig StateDictSettings StateDictType UnshardHandle",
    "fully_shard register_fsdp_forward_method"))
__getattr__ = absent_from("torch.distributed.fsdp", lambda: globals())
