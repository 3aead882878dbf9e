from __future__ import annotations

import os

import pytest

from g2l.machine import free_disk, nearest_folder, resident_memory, share_cores, usable_cores, usable_memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A tree of files of the kernel, on a machine with 8 cores of which this process may run on 6."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))

    def build(**files):
        for name, text in {"proc/meminfo": meminfo(16, 12), **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return build


def meminfo(total, available):
    return (
        f"MemTotal: {total * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {available * 2**20} kB\nHugePages: 0\n"
    )


def test_without_limits_the_affinity_decides(machine):
    assert usable_cores(machine()) == 6
    assert usable_memory(machine()) == (12 * GIB, 16 * GIB)


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 6)]
)
def test_a_container_grants_time(machine, quota, cores):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota}
    assert usable_cores(machine(**files)) == cores


def test_the_tightest_of_nested_groups_counts(machine):
    files = {
        "proc/self/cgroup": "0::/slice/job\n",
        "sys/fs/cgroup/slice/cpu.max": "300000 100000",
        "sys/fs/cgroup/slice/job/cpu.max": "max 100000",
        "sys/fs/cgroup/slice/memory.max": f"{4 * GIB}",
        "sys/fs/cgroup/slice/memory.current": f"{3 * GIB}",
        "sys/fs/cgroup/slice/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        "sys/fs/cgroup/slice/job/memory.max": "max",
        "sys/fs/cgroup/slice/job/memory.current": f"{GIB}",
    }
    root = machine(**files)
    assert usable_cores(root) == 3
    assert usable_memory(root) == (2 * GIB, 4 * GIB)


def test_the_first_version_of_the_interface(machine):
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/not/visible/here\n3:cpu,cpuacct:/\n0::/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{8 * GIB}",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{7 * GIB}",
        "sys/fs/cgroup/memory/memory.stat": f"cache 9\ntotal_inactive_file {2 * GIB}\n",
    }
    root = machine(**files)
    assert usable_cores(root) == 4
    assert usable_memory(root) == (3 * GIB, 8 * GIB)
    (root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").write_text("-1")
    assert usable_cores(root) == 6


def test_a_system_without_these_files(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1
    assert usable_memory(tmp_path) is None


def test_disk_is_that_of_the_nearest_folder(tmp_path):
    assert nearest_folder(tmp_path / "no" / "such") == tmp_path
    assert free_disk(tmp_path / "no" / "such") > 0


def test_this_process_is_in_memory(tmp_path):
    assert 10**7 < resident_memory() < 10**11
    assert resident_memory(tmp_path) == 0


@pytest.mark.parametrize(
    ("load", "given", "policy"),
    [(0.4, {}, None), (9, {}, "PASSIVE"), (9, {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")],
)
def test_threads_sleep_on_a_busy_machine_unless_the_user_decides(monkeypatch, load, given, policy):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "environ", given.copy())
    share_cores()
    assert os.environ.get("OMP_WAIT_POLICY") == policy
