"""The programs of docs/archive.md run as they stand, and find every event once."""

import os
import pathlib
import subprocess
import sys
import time
import uuid

import duckdb_ext
import pytest

import pages
from conftest import tracked_group, wait_for

PAGE = "archive.md"
EVENTS = 120


@pytest.fixture(scope="module")
def event_type(penchant):
    """Events of a type of their own, archived."""
    name = f"glob-{uuid.uuid4().hex[:8]}"
    _, tracking_id = tracked_group(penchant, name)
    events = penchant.client("personalize-events")
    for n in range(EVENTS // 10):
        events.put_events(
            trackingId=tracking_id, userId=f"reader-{n}", sessionId="s",
            eventList=[{"eventType": name, "itemId": f"book-{i}", "sentAt": time.time()} for i in range(10)])
    return name


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder in which DuckDB finds the extension that came from PyPI, where INSTALL would fetch it otherwise."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".duckdb").mkdir()
    [packaged] = duckdb_ext.__path__
    (folder / ".duckdb" / "extensions").symlink_to(pathlib.Path(packaged) / "extensions")
    return folder


def wait_for_rows(penchant, home, heading, event_type, rows):
    """Runs the page's program until it counts all of the test's events, and returns what it prints of them."""
    [program] = pages.blocks(PAGE, "python", heading)
    done = None

    def counted():
        nonlocal done
        # Before the first file is written there is nothing to read, which is an error.
        done = subprocess.run(
            [sys.executable, "-c", penchant.localised(program)], env=os.environ | {"HOME": str(home)},
            capture_output=True, text=True, timeout=60)
        found = [line.split() for line in done.stdout.splitlines() if event_type in line.split()]
        return found if done.returncode == 0 and found and found[0][-len(rows):] == [str(n) for n in rows] else None

    try:
        return wait_for("the archive is whole", counted, every=0.5)
    except TimeoutError:
        pytest.fail(f"{rows} of {event_type} expected: {done.stdout}\n{done.stderr}")


def test_duckdb_reads_a_glob_of_the_bucket(penchant, home, event_type):
    [row] = wait_for_rows(penchant, home, "DuckDB", event_type, (EVENTS, EVENTS, EVENTS // 10))
    assert row[0].startswith(event_type + "-"), "the dataset group"


def test_pyarrow_reads_the_bucket_and_duckdb_reads_pyarrow(penchant, home, event_type):
    wait_for_rows(penchant, home, "pyarrow, and DuckDB without an extension", event_type, (EVENTS, EVENTS))
