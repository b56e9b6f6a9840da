"""What a run prints, and how it exits, when SIGINT or SIGTERM reaches it while Ray starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grid.cluster.temp_folders import SESSION

STARTS_RAY = """
from grid.cluster.process_exit import exit_on_signals
from grid.cluster.ray_session import local_ray
exit_on_signals("run the same command to resume")
with local_ray(None, 1):
    print("started", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_ray_starts_exits_with_message(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_RAY]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    while not list(tmp_path.glob(f"{SESSION}*/session_*")) and driver.poll() is None:
        time.sleep(0.01)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=60)
    assert (driver.returncode, output) == (code, "run the same command to resume")
    assert not list(tmp_path.glob(f"{SESSION}*"))
