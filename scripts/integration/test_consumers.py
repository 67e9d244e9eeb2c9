"""The consumers of docs/kafka.md read the interactions topics as a downstream team would: every event, once."""

import collections
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest

import pages
from conftest import ROOT, need_tools, tracked_group, wait_for

PAGE = "kafka.md"


class Running:
    """A consumer's process, with the lines that it has printed so far."""

    def __init__(self, command, folder):
        self.lines, self.errors = [], open(folder / "errors.log", "a+")
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            # Tests that run in a shell's background inherit that they ignore Ctrl-C, and Python then has none.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.reader.join()
        self.errors.seek(0)
        assert code == 0, self.errors.read()


def go_consumer(penchant, folder):
    need_tools("go")
    [program] = pages.blocks(PAGE, "go")
    (folder / "consumer.go").write_text(penchant.localised(program))
    subprocess.run(["go", "build", "-o", folder / "consumer", folder / "consumer.go"], cwd=ROOT, check=True)
    return [folder / "consumer"]


def python_consumer(penchant, folder):
    [program] = pages.blocks(PAGE, "python")
    (folder / "consumer.py").write_text(penchant.localised(program))
    pages.generate_messages(folder)
    return [sys.executable, "consumer.py"]


@pytest.mark.parametrize("language", [go_consumer, python_consumer], ids=["go", "python"])
def test_a_consumer_reads_every_event_once(penchant, tmp_path, language):
    command = language(penchant, tmp_path)
    events = penchant.client("personalize-events")
    run = uuid.uuid4().hex[:8]
    sent = []

    def send(tracking_id, calls):
        for n in range(calls):
            user = f"reader-{run}-{n % 7}"
            batch = [f"book-{len(sent) + i}" for i in range(5)]
            events.put_events(
                trackingId=tracking_id, userId=user, sessionId=user,
                eventList=[{"eventType": "view", "itemId": item, "sentAt": time.time()} for item in batch])
            sent.extend(f"{user} view {item}" for item in batch)

    read = []

    def own(consumer):
        return [line for line in consumer.lines if run in line]

    def consume(*steps):
        """Runs the consumer; after each step it has to catch up."""
        consumer = Running(command, tmp_path)
        try:
            for step in steps:
                step()
                wait_for("all events are read", lambda: set(sent) <= set(read + own(consumer)))
        finally:
            consumer.stop()
        read.extend(own(consumer))

    _, tracking_id = tracked_group(penchant, f"consumed-{run}")
    send(tracking_id, 10)  # before the consumer has ever run
    consume(
        lambda: send(tracking_id, 10),
        # A dataset group that is made while the consumer runs.
        lambda: send(tracked_group(penchant, f"consumed-later-{run}")[1], 4))
    send(tracking_id, 10)  # while the consumer is away
    consume(lambda: send(tracking_id, 2))

    assert collections.Counter(read) == collections.Counter(sent)
    for user in {line.split()[0] for line in sent}:
        first_group = [line for line in sent if line.startswith(user + " ")]
        assert [line for line in read if line.startswith(user + " ")] == first_group, "a user's events come in their order"
