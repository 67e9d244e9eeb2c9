"""Starts one `penchant all` for the whole run, on free ports, and hands boto3 clients to the tests."""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACCESS_KEY, SECRET_KEY, REGION = "penchant", "penchant-secret", "us-east-1"
ROLE_ARN = "arn:aws:iam::000000000000:role/personalize"


class Penchant:
    """A running `penchant all`."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.log = open(data_dir / "penchant.log", "ab")
        any_port = "127.0.0.1:0"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PENCHANT_")}
        environment["PENCHANT_ARCHIVE_FLUSH_INTERVAL"] = "2s"
        self.process = subprocess.Popen(
            [ROOT / "bin" / "penchant", "all", "--data-dir", data_dir, "--http-addr", any_port,
             "--kafka-addr", any_port, "--redis-addr", any_port, "--s3-addr", any_port],
            stdout=self.log, stderr=self.log, env=environment)
        self.endpoints = self._wait_until_ready()

    def _wait_until_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"penchant ended: {(self.data_dir / 'penchant.log').read_text()}")
            try:
                endpoints = json.loads((self.data_dir / "endpoints.json").read_text())
                with urllib.request.urlopen(endpoints["http"] + "/healthz/ready", timeout=2):
                    return endpoints
            except (OSError, ValueError, urllib.error.URLError):
                time.sleep(0.05)
        raise TimeoutError(f"penchant is not ready: {(self.data_dir / 'penchant.log').read_text()}")

    def client(self, service):
        endpoint = self.endpoints["s3" if service == "s3" else "http"]
        return boto3.client(
            service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}))

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=40)
        self.log.close()
        assert code == 0, f"penchant ended with {code} on SIGTERM"


@pytest.fixture(scope="session")
def penchant(tmp_path_factory):
    server = Penchant(tmp_path_factory.mktemp("penchant"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared():
    folder = ROOT.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip("the research data is not here (../shared/data)")
    return folder


def wait_for(what, look, seconds=120.0, every=0.02):
    """Polls look() until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(every)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


def wait_active(describe, member, seconds=300.0, **arguments):
    """Polls a describe call until its resource is ACTIVE."""

    def look():
        resource = describe(**arguments)[member]
        assert resource["status"] != "CREATE FAILED", resource.get("failureReason")
        return resource if resource["status"] == "ACTIVE" else None

    return wait_for(f"{member} ACTIVE", look, seconds)
