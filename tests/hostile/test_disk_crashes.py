"""A process that is killed while it writes leaves a disk tier that agrees with itself."""

import random
import subprocess
import sys
import threading

from edgeproxy.store.disk import inspection

BUDGET = 24 * 1024**2
KILLS = 50


def taken(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def killed(folder):
    """Fill the folder for a random time, then SIGKILL."""
    command = [sys.executable, "-m", "tests.support.disk", str(folder), str(BUDGET)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"started\n"
        timer = threading.Timer(random.uniform(0.0, 0.3), process.kill)
        timer.start()
        process.wait(30)
        timer.join()
    assert process.returncode == -9


def test_nothing_disagrees_after_any_kill_and_the_budget_is_kept(tmp_path):
    for _ in range(KILLS):
        killed(tmp_path)
        assert taken(tmp_path) <= BUDGET
        report = inspection.verify(tmp_path, is_repair=False, progress=lambda *_: None)
        orphans = [text for text in report.findings if "no response refers" not in text]
        assert orphans == []
        assert len(report.findings) == 0
    assert report.bodies
