"""The program of the first tutorial runs as it stands."""

import subprocess
import sys

import pages


def test_getting_started_runs_as_written(penchant):
    penchant.drop_bucket("books")
    program = "\n".join(pages.blocks("getting-started.md", "python"))
    done = subprocess.run(
        [sys.executable, "-c", program], env=pages.environment("getting-started.md", penchant),
        capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "cookbooks" in done.stdout.splitlines()[-1]
