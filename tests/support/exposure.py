"""What other users of a machine could read, or write to, while a command runs."""

import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("GOOGLE_APPLICATION_CREDENTIALS_JSON", "AZURE_STORAGE_KEY", "PGPASSWORD", "HF_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
)
SECRETS = {name: f"canary-{number:02d}-" + "0123456789abcdef" * 2 for number, name in enumerate(VARIABLES)}
LARGEST = 2**22  # bytes of a file that is searched


@dataclass
class Exposure:
    """Names of secrets and files, by how they were exposed. `looks` counts how often was looked."""

    in_commands: set[str] = field(default_factory=set)
    in_readable_files: set[str] = field(default_factory=set)
    in_results: set[str] = field(default_factory=set)
    printed: set[str] = field(default_factory=set)
    writable: set[str] = field(default_factory=set)
    looks: int = 0


def watch(command: list[str], out: Path) -> "tuple[subprocess.CompletedProcess[str], Exposure]":
    """Run a command with SECRETS in its environment and a temporary folder that all users may enter."""
    seen = Exposure()
    with tempfile.TemporaryDirectory(prefix="o", dir="/tmp") as name, tempfile.TemporaryFile("w+") as output:
        temporary = Path(name)
        temporary.chmod(0o1777)
        environment = os.environ | SECRETS | {"COLUMNS": "160", "TMPDIR": name}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        while process.poll() is None:
            _look(seen, temporary)
            time.sleep(0.5)
        output.seek(0)
        text = output.read()
    seen.printed = _named(text.encode())
    seen.in_results = {
        name for path in out.rglob("*") if path.is_file() for name in _named(path.read_bytes())
    }
    return subprocess.CompletedProcess(command, process.returncode, text), seen


def _look(seen: Exposure, temporary: Path) -> None:
    seen.looks += 1
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        seen.in_commands |= _named(_content(path))
    for path in _reachable(temporary):
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o004 and status.st_size < LARGEST:
            seen.in_readable_files |= _named(_content(path))
        if status.st_mode & 0o002 and not stat.S_ISLNK(status.st_mode):
            seen.writable.add(path.name)


def _reachable(folder: Path) -> Iterator[Path]:
    """Yield what lies below a folder, as far as another user can enter."""
    try:
        found = list(folder.iterdir())
    except OSError:
        return
    for path in found:
        yield path
        if path.is_dir() and not path.is_symlink() and path.stat().st_mode & 0o001:
            yield from _reachable(path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended, or the file is gone
        return b""


def _named(content: bytes) -> set[str]:
    return {name for name, secret in SECRETS.items() if secret.encode() in content}
