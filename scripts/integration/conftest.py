"""Starts one `penchant all` for the whole run, on free ports, and hands clients to the tests.

Without more it runs on its embedded servers. With PENCHANT_TEST_KAFKA_BROKERS, PENCHANT_TEST_REDIS_URL and
PENCHANT_TEST_S3_ENDPOINT (with PENCHANT_TEST_S3_ACCESS_KEY and PENCHANT_TEST_S3_SECRET_KEY) the same tests run on those
servers. They have to be test servers: the Redis database is emptied and Penchant's topics are deleted first.
PENCHANT_TEST_KAFKA_REPLICAS is the number of replicas of the topics, 1 unless set.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config

import outside

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGION = "us-east-1"
ROLE_ARN = "arn:aws:iam::000000000000:role/personalize"
INTERACTIONS_SCHEMA = {
    "type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
    "fields": [
        {"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"}, {"name": "EVENT_TYPE", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["null", "float"]},
    ],
}


class Penchant:
    """A running `penchant all`, on embedded servers or on the outside ones of the environment."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.access_key, self.secret_key, self.bucket = "penchant", "penchant-secret", "penchant"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PENCHANT_")}
        environment["PENCHANT_ARCHIVE_FLUSH_INTERVAL"] = "2s"
        servers = outside.from_environment()
        if servers:
            # One key pair for API and store, as with AWS: the programs of the documentation know only one.
            self.access_key, self.secret_key = servers.s3_access_key, servers.s3_secret_key
            self.bucket = f"penchant-{uuid.uuid4().hex[:12]}"
            servers.make_fresh()
            environment |= servers.settings(self.bucket)
        self.log = open(data_dir / "penchant.log", "ab")
        any_port = "127.0.0.1:0"
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
            service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}))

    def fresh_bucket(self, name):
        """Makes a user's bucket, empty even where an outside store has one of an earlier run."""
        self.drop_bucket(name)
        self.client("s3").create_bucket(Bucket=name)

    def drop_bucket(self, name):
        s3 = self.client("s3")
        try:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
                for entry in page.get("Contents", ()):
                    s3.delete_object(Bucket=name, Key=entry["Key"])
            s3.delete_bucket(Bucket=name)
        except s3.exceptions.NoSuchBucket:
            pass

    def localised(self, text):
        """Replaces the default addresses, keys and bucket that the documentation shows by those of this process."""
        for shown, real in (
                ("http://127.0.0.1:8080", self.endpoints["http"]), ("http://127.0.0.1:9000", self.endpoints["s3"]),
                ("127.0.0.1:9000", self.endpoints["s3"].removeprefix("http://")), ("127.0.0.1:9092", self.endpoints["kafka"]),
                ("'penchant-secret'", f"'{self.secret_key}'"), ('"penchant-secret"', f'"{self.secret_key}"'),
                ("KEY_ID 'penchant'", f"KEY_ID '{self.access_key}'"), ('access_key="penchant"', f'access_key="{self.access_key}"'),
                ("AWS_ACCESS_KEY_ID=penchant", f"AWS_ACCESS_KEY_ID={self.access_key}"),
                ("AWS_SECRET_ACCESS_KEY=penchant-secret", f"AWS_SECRET_ACCESS_KEY={self.secret_key}"),
                ('"penchant/archive', f'"{self.bucket}/archive'), ("s3://penchant/", f"s3://{self.bucket}/")):
            text = text.replace(shown, real)
        return text

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


@pytest.fixture(scope="session")
def messages(tmp_path_factory):
    """The generated messages of proto/penchant/v1/events.proto."""
    import pages

    folder = tmp_path_factory.mktemp("messages")
    pages.generate_messages(folder)
    sys.path.insert(0, str(folder))
    try:
        from penchant.v1 import events_pb2
    finally:
        sys.path.remove(str(folder))
    return events_pb2


def need_tools(*names):
    """Skips the test where a toolchain is missing, and fails it in CI."""
    if missing := [name for name in names if shutil.which(name) is None]:
        message = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def wait_for(what, look, seconds=120.0, every=0.02):
    """Polls look() until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(every)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


def wait_active(describe, member, seconds=900.0, **arguments):
    """Polls a describe call until its resource is ACTIVE."""

    def look():
        resource = describe(**arguments)[member]
        assert resource["status"] != "CREATE FAILED", resource.get("failureReason")
        return resource if resource["status"] == "ACTIVE" else None

    return wait_for(f"{member} ACTIVE", look, seconds)


def tracked_group(penchant, name):
    """Makes a dataset group with an Interactions dataset and an event tracker; returns its ARN and the tracking id."""
    personalize = penchant.client("personalize")
    group = personalize.create_dataset_group(name=name)["datasetGroupArn"]
    wait_active(personalize.describe_dataset_group, "datasetGroup", datasetGroupArn=group)
    schema = personalize.create_schema(name=name, schema=json.dumps(INTERACTIONS_SCHEMA))["schemaArn"]
    dataset = personalize.create_dataset(
        name=name, datasetGroupArn=group, datasetType="Interactions", schemaArn=schema)["datasetArn"]
    wait_active(personalize.describe_dataset, "dataset", datasetArn=dataset)
    tracker = personalize.create_event_tracker(name=name, datasetGroupArn=group)
    wait_active(personalize.describe_event_tracker, "eventTracker", eventTrackerArn=tracker["eventTrackerArn"])
    return group, tracker["trackingId"]
