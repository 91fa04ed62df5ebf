"""`torch.distributed.algorithms.model_averaging` by name."""
