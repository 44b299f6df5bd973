"""What the device is and can do: dtype to compute in, autocast, peak FLOP/s, peak memory. Frozen.

Importing this does not import torch: the scoring half of the evaluator runs without it.
"""

from __future__ import annotations

import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# dense bf16 FLOP/s from the vendors' data sheets, for the MFU gauge only; the first name found in the device's counts
PEAK_FLOPS = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H200 NVL": 836e12, "H100": 989e12, "H200": 989e12, "H800": 989e12,
    "GH200": 989e12, "B200": 2250e12, "B100": 1750e12, "A100": 312e12, "A800": 312e12, "L40S": 362e12, "L40": 181e12,
    "L4": 121e12, "A10G": 70e12, "A10": 125e12, "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 4080": 97e12,
    "RTX 3090": 71e12, "RTX 3080": 60e12, "RTX A6000": 155e12,
}  # fmt: skip


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for it; without them bf16 matrices run at a quarter of float32 (measured)."""
    flags = Path("/proc/cpuinfo")
    text = flags.read_text() if flags.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster than float32, else float32."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; nothing at all for float32."""
    import torch

    if dtype == torch.float32:
        return nullcontext()
    context: AbstractContextManager[object] = torch.autocast(device.type, dtype=dtype)
    return context


def use_kernels(name: str) -> str:
    """Attention by an installed package, FA3 or FA4, behind the operator that ops.attention calls; why not, else empty.

    torch looks for the package itself; nothing is downloaded.
    """
    from torch.nn.attention import activate_flash_attention_impl

    try:
        activate_flash_attention_impl(name)
    except (ImportError, RuntimeError, ValueError) as error:
        return f"attention by {name}: {error}"
    return ""


def leave_compiler_unimported() -> None:
    """Lets optimizers be made and cleared without importing torch._dynamo: 1.3 s of every run on a CPU.

    torch wraps two of their methods so that the compiler skips them, and the first call of the wrapper imports the
    compiler to say so. The wrapper looks for an earlier answer on the function; this is that answer.
    """
    import torch

    for name in ("add_param_group", "zero_grad"):
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            setattr(method, "__dynamo_disable", method)


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 FLOP/s of a known GPU, or None."""
    if device.type != "cuda":
        return None
    name = device_name(device)
    return next((flops for key, flops in PEAK_FLOPS.items() if key in name), None)


def peak_memory(device: torch.device) -> int:
    """Most bytes this process held: allocated on the GPU, resident on a CPU."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
