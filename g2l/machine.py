"""Resources that this process may use: cores, memory, disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
"""Where `/proc` and `/sys` are."""


def usable_cores(root: Path = ROOT) -> int:
    """Return the number of cores that this process may keep busy, at least 1.

    That is the fewest of the cores there are, those it may run on (affinity) and those whose time a container
    grants it (the quotas of its cgroups, in whole cores).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _cpu_quotas(root))]))


def share_cores() -> None:
    """Let waiting OpenMP threads sleep where this machine is busy; to be called before torch is imported.

    They spin otherwise, which takes the cores from the threads that they wait for. On 2 cores with a load of
    18, a training step took 0.07 to 0.16 s instead of 1.3 s and more. An idle machine keeps the default.
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) / 2:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def usable_memory(root: Path = ROOT) -> tuple[int, int] | None:
    """Return how many bytes are available without swapping and how many there are in all.

    Inside a container they are those of its limit. None is returned where the system does not report them.
    """
    lines = _lines(root / "proc" / "meminfo")
    kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    if not kibibytes.keys() >= {"MemAvailable", "MemTotal"}:
        return None
    available, total = 1024 * kibibytes["MemAvailable"], 1024 * kibibytes["MemTotal"]
    for limit, used in _memory_limits(root):
        available, total = min(available, max(0, limit - used)), min(total, limit)
    return available, total


def resident_memory(root: Path = ROOT) -> int:
    """Return how many bytes of this process are in memory, 0 where the system does not report it."""
    numbers = " ".join(_lines(root / "proc" / "self" / "statm")).split()
    return int(numbers[1]) * os.sysconf("SC_PAGE_SIZE") if len(numbers) > 1 else 0


def free_disk(path: Path) -> int:
    """Return how many bytes are free where `path` is or would be."""
    return shutil.disk_usage(nearest_folder(path)).free


def nearest_folder(path: Path) -> Path:
    """Return `path` or the nearest folder above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the cores of each cgroup that has a quota; version 2 of the interface, then 1."""
    for folder in _cgroups(root, "cpu"):
        quota, period = (*" ".join(_lines(folder / "cpu.max")).split(), "", "")[:2]
        if not quota:
            quota = "".join(_lines(folder / "cpu.cfs_quota_us"))
            period = "".join(_lines(folder / "cpu.cfs_period_us"))
        if quota.isdigit() and period.isdigit() and int(period):  # neither "max" nor "-1"
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and use of each cgroup with a limit; what the kernel would drop is not in use."""
    for folder in _cgroups(root, "memory"):
        names = ("memory.max", "memory.current", "inactive_file")
        if not (folder / names[0]).exists():
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = ("".join(_lines(folder / name)) for name in names[:2])
        if limit.isdigit() and used.isdigit():
            statistics = dict(line.split(maxsplit=1) for line in _lines(folder / "memory.stat"))
            yield int(limit), int(used) - int(statistics.get(names[2], 0))


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the cgroups that this process is in, from its own outwards.

    Inside a container the path may be the host's, of which only the outermost folder is there.
    """
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys" / "fs" / "cgroup" / (controller if controllers else "")
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _lines(path: Path) -> list[str]:
    """Return the lines of a file of the kernel, none if it is not there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
