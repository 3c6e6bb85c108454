"""File systems that only some processes see: mounts in a namespace of their own.

They need root (CAP_SYS_ADMIN) and util-linux. Who has neither may skip such tests; CI may not.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_NEEDS = "needs mounts: run it as root, with unshare and nsenter of util-linux"


def need_mounts() -> None:
    """Skip a test that cannot mount anything; in CI (`CI` is set) that is a failure."""
    has_tools = shutil.which("unshare") and shutil.which("nsenter")
    if os.geteuid() == 0 and has_tools and _may_mount():
        return
    if os.environ.get("CI"):
        pytest.fail(_NEEDS)
    pytest.skip(_NEEDS)


def _may_mount() -> bool:
    command = ("unshare", "-m", "true")
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def with_mount(place: Path, *arguments: str) -> tuple[str, ...]:
    """Return a command under which a program sees a mount that nobody else does.

    `arguments` are those of mount(8) but for where.
    """
    script = 'place="$1" count="$2" && shift 2 && mount_it() { mount "$@" "$place"; } && '
    script += 'i=0 && args="" && while [ $i -lt "$count" ]; do args="$args $1"; shift; i=$((i+1)); '
    script += 'done && mount_it $args && exec "$@"'
    number = str(len(arguments))
    return ("unshare", "-m", "sh", "-c", script, "sh", str(place), number, *arguments)


def change_mounts(pid: int, *command: str) -> None:
    """Run a command, as mount(8), where that process sees its mounts."""
    subprocess.run(("nsenter", "-t", str(pid), "-m", *command), timeout=30, check=True)
