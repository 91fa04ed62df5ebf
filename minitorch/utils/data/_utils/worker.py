"""What a loader's worker knows of itself: `minitorch.utils.data.workers` under PyTorch's name."""
from minitorch.utils.data.workers import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]
