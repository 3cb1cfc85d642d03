"""The curl lines of the README run as they stand, but for the port."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.api.server import Process, free_port

README = Path(__file__).parents[2] / "README.md"
ANSWERS = {
    "/search": '"hits":[{"id":"tide"',
    "/answer": "event: done",
    "/chat/": "chat.completion",
    "/metrics": "# HELP",
}


def lines() -> list[str]:
    found = re.search(r"^## Serve it\n+```\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return found.group(1).splitlines() if found else []


@pytest.mark.timeout(300)
def test_the_lines_of_the_readme(tmp_path: Path) -> None:
    shown = lines()
    if not shown:
        pytest.skip("the README has no section 'Serve it'")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (7, 82):
        pytest.skip("curl is too old for --json")
    assert shown[0].startswith("twindex serve my-data --root")
    server = Process(tmp_path / "my-data", "--root", port=free_port(), log=tmp_path / "log")
    try:
        server.wait_ready(120)
        commands = [line for line in shown if line.startswith("curl")]
        assert len(commands) >= 6
        for line in commands:
            command = line.replace("localhost:8080", server.url.removeprefix("http://"))
            done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            for part, expected in ANSWERS.items():
                if part in line:
                    assert expected in done.stdout, f"{line}\n{done.stdout}"
    finally:
        server.stop()
