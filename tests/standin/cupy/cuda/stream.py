"""cupy.cuda.stream."""
from .._launching import Event, Stream, current, get_elapsed_time


def get_current_stream(device_id=None):
    return current(None if device_id in (None, -1) else device_id)
