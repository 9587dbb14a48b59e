"""The machine that this runs on, as a device."""

import importlib.metadata
import os
import pathlib
import platform

DEVICE = "host"
_PACKAGES = ("ai-edge-litert", "tensorflow")


def describe() -> dict[str, str]:
    """What a measurement depends on, by name: processor, cores, operating system, versions of the software.

    Example:
        describe()["cpu"]
    """
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    return names.get("model name") or platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
