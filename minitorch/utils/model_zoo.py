"""`load_url`, the old name of `minitorch.hub.load_state_dict_from_url`."""

from minitorch.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
