"""Each operation of the three APIs answers, to boto3 and to the AWS SDK for JavaScript: see operations.py for the walk."""

import json
import re
import time
import uuid

import botocore.exceptions
import pytest

import operations
from conftest import ROLE_ARN
from test_sdks import JavaScript, environment, run  # noqa: F401 (a fixture)

BUCKET = "operations"
WAIT = 180  # seconds, for one resource


@pytest.fixture(scope="module")
def walk(penchant):
    penchant.fresh_bucket(BUCKET)
    s3 = penchant.client("s3")
    for key, text in operations.files().items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
    return operations.steps(BUCKET, ROLE_ARN)


def at(answer, path):
    """The member of an answer at a path such as itemList.0.score, None where there is none."""
    for name in path.split("."):
        try:
            answer = answer[int(name)] if isinstance(answer, list) else answer.get(name)
        except (IndexError, AttributeError):
            return None
    return answer


class Walker:
    def __init__(self, penchant, word):
        self.clients = {name: penchant.client(name) for name in (operations.CONTROL, operations.EVENTS, operations.RUNTIME)}
        self.saved = {"run": word}
        self.answered = set()

    def filled(self, value):
        if isinstance(value, dict):
            return {name: self.filled(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.filled(member) for member in value]
        if isinstance(value, str):
            return re.sub(r"\$\{([\w-]+)}", lambda match: self.saved[match[1]], value)
        return value

    def call(self, service, operation, request):
        try:
            answer = self.clients[service]._make_api_call(operation, request)
        except botocore.exceptions.ClientError as error:
            return {"error": error.response["Error"]["Code"], "message": str(error)}
        self.answered.add((service, operation))
        return answer

    def take(self, service, operation, request, after):
        request = self.filled(request)
        path, wanted = after.get("until", (None, None))
        deadline = time.monotonic() + WAIT
        while True:
            answer = self.call(service, operation, request)
            where = f"{operation} {json.dumps(request)[:300]} -> {json.dumps(answer, default=str)[:600]}"
            if wanted is None or at(answer, path) == wanted:
                break
            assert "error" not in answer, where
            assert not str(at(answer, path)).endswith("FAILED"), where
            assert time.monotonic() < deadline, where
            time.sleep(0.05)
        assert wanted is not None or "error" not in answer, where
        for name, path in after.get("save", {}).items():
            self.saved[name] = at(answer, path)
            assert self.saved[name], where
        for path, value in after.get("equal", {}).items():
            assert at(answer, path) == self.filled(value), where
        if "full" in after:
            assert at(answer, after["full"]), where


def all_operations(walker):
    return {(service, name) for service, client in walker.clients.items() for name in client.meta.service_model.operation_names}


def test_boto3_reaches_every_operation(penchant, walk):
    walker = Walker(penchant, "boto-" + uuid.uuid4().hex[:8])
    for step in walk:
        walker.take(*step)
    wanted = all_operations(walker)
    assert len(wanted) == 79
    assert walker.answered == wanted


def test_javascript_reaches_every_operation(penchant, walk, environment, tmp_path):  # noqa: F811
    sdk = JavaScript(tmp_path)
    program = tmp_path / "operations.mjs"
    program.write_text((operations.HERE / "clients" / "javascript" / "operations.mjs").read_text())
    (tmp_path / "steps.json").write_text(json.dumps(walk))
    word = "js-" + uuid.uuid4().hex[:8]
    answered = run(["node", program, "steps.json", word, str(WAIT)], timeout=900, cwd=sdk.folder, env=environment).splitlines()
    assert set(answered) == {operation for _, operation in all_operations(Walker(penchant, word))}
