"""How much of an NVIDIA GPU's memory is held, CUDA's own context included."""

import contextlib
import ctypes
import os

ANY_PROCESSES = 256


class ProcessInfo(ctypes.Structure):
    """nvmlProcessInfo_t, second version."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def need(status):
    if status:
        raise OSError(f"status {status}")


def device_uuid(ordinal):
    """The UUID of a device by CUDA's number, as NVML writes it: the two count differently."""
    cuda, device, raw = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), (ctypes.c_ubyte * 16)()
    need(cuda.cuInit(0))
    need(cuda.cuDeviceGet(ctypes.byref(device), ordinal))
    need(cuda.cuDeviceGetUuid(raw, device))
    text = bytes(raw).hex()
    parts = (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
    return f"GPU-{'-'.join(parts)}"


def device_memory(ordinal, holder=0):
    """(bytes, how they were measured): what a process, this one by itself, holds on the device or, where
    the driver does not know it by its number, as in a container, what everybody holds. (0, "") without
    NVML."""
    holder = holder or os.getpid()
    with contextlib.suppress(OSError, AttributeError):
        nvml, handle = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p()
        need(nvml.nvmlInit_v2())
        try:
            uuid = device_uuid(ordinal).encode()
            need(nvml.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)))
            count, processes = ctypes.c_uint(ANY_PROCESSES), (ProcessInfo * ANY_PROCESSES)()
            ask = nvml.nvmlDeviceGetComputeRunningProcesses_v3
            if ask(handle, ctypes.byref(count), processes) == 0:
                for process in processes[: count.value]:
                    if process.pid == holder and process.bytes < 1 << 60:
                        return process.bytes, "the process by NVML"
            memory = Memory()
            need(nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)))
            return memory.used, "the whole device by NVML, which does not know the process"
        finally:
            nvml.nvmlShutdown()
    return 0, ""


def devices_memory(holders):
    """The same of several devices together. holders: {a device's ordinal: the process on it}"""
    told = [device_memory(ordinal, holder) for ordinal, holder in holders.items()]
    if not all(method for _, method in told):
        return 0, ""
    methods = sorted({method for _, method in told})
    return sum(held for held, _ in told), " and ".join(methods) + f", {len(told)} devices"
