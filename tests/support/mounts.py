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
    """Skip a test that cannot mount anything; in CI (`.ci/run` says so) that is a failure."""
    has_tools = shutil.which("unshare") and shutil.which("nsenter")
    if os.geteuid() == 0 and has_tools and _may_mount():
        return
    if os.environ.get("CI") or os.environ.get("EDGEPROXY_CI"):
        pytest.fail(_NEEDS)
    pytest.skip(_NEEDS)


def _may_mount() -> bool:
    command = ("unshare", "-m", "true")
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def with_mount(place: Path, *arguments: str) -> tuple[str, ...]:
    """Return a command under which a program sees a mount that nobody else does.

    `arguments` are those of mount(8) but for where.
    """
    count = len(arguments)
    script = "".join(
        (
            'place="$1"; shift; mount ',
            " ".join(f'"${{{number}}}"' for number in range(1, count + 1)),
            f' "$place" && shift {count} && exec "$@"',
        )
    )
    return ("unshare", "-m", "sh", "-c", script, "sh", str(place), *arguments)


def change_mounts(pid: int, *command: str) -> None:
    """Run a command, as mount(8), where that process sees its mounts."""
    subprocess.run(("nsenter", "-t", str(pid), "-m", *command), timeout=30, check=True)
