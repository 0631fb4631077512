"""The machine that a run was made on."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel
from threadpoolctl import threadpool_info


class Platform(BaseModel):
    """The machine. `cpu`, `cores`, `threads` and `image` are recorded, but not compared.

    `blas` names the kernels that the linear algebra library chose for this processor: the last
    bits of a sum depend on them, and so they do on the `workers` that shared the fit. `gpu` and
    its driver count where `device` is cuda.
    """

    python: str
    system: str
    machine: str
    blas: str = ""
    device: str = "cpu"
    workers: int = 1
    gpu: str | None
    cpu: str
    cores: int
    threads: dict[str, str]
    image: str | None


def describe_machine(device: str = "cpu", workers: int = 1) -> Platform:
    """Describe the machine that is running, and what of it a fit used."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
    return Platform(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=platform.system(),
        machine=platform.machine(),
        blas=_blas(),
        device=device,
        workers=workers,
        gpu=_gpu(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        threads={name: os.environ[name] for name in threads if name in os.environ},
        image=os.environ.get("ML_IMAGE_DIGEST"),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _blas() -> str:
    """Name the kernels of the loaded linear algebra libraries, such as Haswell or SkylakeX."""
    libraries = [found for found in threadpool_info() if found["user_api"] == "blas"]
    names = {library.get("architecture") or library["internal_api"] for library in libraries}
    return ", ".join(sorted(names))


def _gpu() -> str | None:
    """Name the GPU and its driver, as the driver's own tool tells them."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)  # noqa: S603
    return "; ".join(done.stdout.strip().splitlines()) or None if done.returncode == 0 else None
