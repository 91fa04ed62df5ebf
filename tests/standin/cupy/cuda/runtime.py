"""cupy.cuda.runtime: the calls of CUDA's runtime that are used."""
from __future__ import annotations

import ctypes

from .. import _launching, _memory
from .._errors import CUDARuntimeError

is_hip = False
memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice, memcpyDefault = range(5)
streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = range(3)
streamCaptureStatusNone, streamCaptureStatusActive, streamCaptureStatusInvalidated = range(3)
H200 = {"name": b"NVIDIA H200", "major": 9, "minor": 0, "totalGlobalMem": _memory.TOTAL, "multiProcessorCount": 132,
        "sharedMemPerBlock": 49152, "sharedMemPerBlockOptin": 232448, "sharedMemPerMultiprocessor": 233472,
        "regsPerBlock": 65536, "regsPerMultiprocessor": 65536, "warpSize": 32, "maxThreadsPerBlock": 1024,
        "maxThreadsPerMultiProcessor": 2048, "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2147483647, 65535, 65535), "l2CacheSize": 62914560, "memoryBusWidth": 6144,
        "clockRate": 1980000, "memoryClockRate": 3201000, "integrated": 0, "canMapHostMemory": 1, "computeMode": 0,
        "concurrentKernels": 1, "ECCEnabled": 1, "pciBusID": 1, "pciDeviceID": 0, "pciDomainID": 0,
        "asyncEngineCount": 3, "unifiedAddressing": 1, "managedMemory": 1, "cooperativeLaunch": 1}


def getDeviceCount():
    return _launching.DEVICES


def getDevice():
    return _launching.local.device


def setDevice(device):
    _launching.Device(device).use()


def getDeviceProperties(device):
    return dict(H200, pciBusID=_launching.Device(device).id + 1)


def deviceSynchronize():
    _launching.forbid("deviceSynchronize")


def deviceCanAccessPeer(device, peerDevice):
    return 0


def deviceGetAttribute(attrib, device):
    known = {16: "multiProcessorCount", 75: "major", 76: "minor", 97: "sharedMemPerBlockOptin"}
    return H200[known[int(attrib)]]


def driverGetVersion():
    return 13000


def runtimeGetVersion():
    return 13000


def memGetInfo():
    return _memory.TOTAL - _memory.held[_launching.local.device], _memory.TOTAL


def streamSynchronize(stream):
    _launching.forbid("streamSynchronize")


def streamIsCapturing(stream):
    found = _launching.current()
    return found.ptr == stream and found.is_capturing()


def memcpyAsync(dst, src, size, kind, stream):
    _launching.run("memcpyAsync", _pointed(dst, src), lambda: ctypes.memmove(dst, src, size))


def memcpy(dst, src, size, kind):
    _launching.forbid("memcpy")
    ctypes.memmove(dst, src, size)


def memsetAsync(ptr, value, size, stream):
    _launching.run("memsetAsync", _pointed(ptr), lambda: ctypes.memset(ptr, value, size))


def _pointed(*addresses):
    """Bare addresses: whose memory they are in is not known."""
    return ()
