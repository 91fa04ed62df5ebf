"""`detect_anomaly` under the name of PyTorch's module, and functions that switch it on and ask for it."""
from ..engine import detect_anomalies, mode
from . import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Remember the source line of each recorded operation, and raise where a gradient becomes NaN."""
    detect_anomalies(enabled, check_nan)


def is_anomaly_enabled() -> bool:
    """Whether the source lines of operations are remembered."""
    return mode.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether a gradient that becomes NaN raises."""
    return mode.check_nan
