"""The programs of docs/sdks.md run as they stand, and what each SDK does around its calls works with Penchant's answers.

The checks beside the programs (clients/) are the same for every SDK: a paginator, modelled exceptions, an event time with
milliseconds, text that is not ASCII. They go through a proxy that refuses each service's first call, so they pass only if
the SDK takes the refusal for one that can be retried.
"""

import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import pytest

import pages
import topics
from conftest import ROOT, need_tools, tracked_group
from flaky import FlakyProxy

PAGE = "sdks.md"
REFUSED_ONCE = ("AmazonPersonalize.ListSchemas", "/events", "/recommendations")
INSTALL_TIMEOUT = 600
CLIENTS = pathlib.Path(__file__).parent / "clients"


class AWSCLI:
    name, heading, bucket = "cli", "AWS CLI", "books-cli"

    def __init__(self, folder):
        self.folder = folder

    def program(self):
        [script] = pages.blocks(PAGE, "bash", self.heading)
        return ["bash", "-c", script]

    def checks(self, *arguments):
        return [sys.executable, CLIENTS / "cli" / "checks.py", *arguments]


class JavaScript:
    name, heading, bucket = "javascript", "JavaScript v3", "books-js"

    def __init__(self, folder):
        need_tools("node", "npm")
        home, installed = CLIENTS / "javascript", CLIENTS / "javascript" / "node_modules" / "package-lock.json"
        if not installed.exists() or not filecmp.cmp(home / "package-lock.json", installed, shallow=False):
            run(["npm", "ci", "--no-audit", "--no-fund"], INSTALL_TIMEOUT, cwd=home)
            shutil.copy(home / "package-lock.json", installed)
        # Node looks for packages beside a program.
        (folder / "node_modules").symlink_to(home / "node_modules")
        [program] = pages.blocks(PAGE, "js", self.heading)
        (folder / "books.mjs").write_text(program)
        shutil.copy(home / "checks.mjs", folder)
        self.folder = folder

    def program(self):
        return ["node", "books.mjs"]

    def checks(self, *arguments):
        return ["node", "checks.mjs", *arguments]


class Java:
    name, heading, bucket = "java", "Java v2", "books-java"

    def __init__(self, folder):
        need_tools("java", "mvn")
        sources = folder / "src" / "main" / "java"
        sources.mkdir(parents=True)
        [program] = pages.blocks(PAGE, "java", self.heading)
        (sources / "Books.java").write_text(program)
        shutil.copy(CLIENTS / "java" / "Checks.java", sources)
        shutil.copy(CLIENTS / "java" / "pom.xml", folder)
        run(["mvn", "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath"], INSTALL_TIMEOUT, cwd=folder)
        self.java = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"target/classes:{(folder / 'classpath').read_text()}"]
        self.folder = folder

    def program(self):
        return [*self.java, "Books"]

    def checks(self, *arguments):
        return [*self.java, "Checks", *arguments]


class Go:
    name, heading, bucket = "go", "Go", "books-go"

    def __init__(self, folder):
        need_tools("go")
        [program] = pages.blocks(PAGE, "go", self.heading)
        (folder / "books.go").write_text(program)
        # Its dependencies are those of Penchant's own module.
        for binary, source in (("books", folder / "books.go"), ("checks", CLIENTS / "go" / "main.go")):
            run(["go", "build", "-o", folder / binary, source], INSTALL_TIMEOUT, cwd=ROOT)
        self.folder = folder

    def program(self):
        return [self.folder / "books"]

    def checks(self, *arguments):
        return [self.folder / "checks", *arguments]


def run(command, timeout=120, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=[AWSCLI, JavaScript, Java, Go], ids=lambda sdk: sdk.name)
def sdk(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp(request.param.name))


@pytest.fixture(scope="module")
def environment(penchant):
    found = pages.environment(PAGE, penchant)
    found["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), found["PATH"]])
    return found


@pytest.fixture(scope="module")
def checks_group(penchant):
    return tracked_group(penchant, "sdk-checks")


def test_the_program_of_the_page(penchant, sdk, environment):
    penchant.drop_bucket(sdk.bucket)
    lines = run(sdk.program(), cwd=sdk.folder, env=environment).splitlines()
    before, after = (next(line for line in lines if line.startswith(when)).split()[1:] for when in ("before:", "after:"))
    assert len(before) == len(after) == 10
    assert sum(item.startswith("cookbooks") for item in before) < 5 < sum(item.startswith("cookbooks") for item in after)


def test_paginators_exceptions_times_and_retries(penchant, sdk, environment, checks_group, messages):
    _, tracking_id = checks_group
    name = f"{sdk.name}-{uuid.uuid4().hex[:8]}"
    with FlakyProxy(penchant.endpoints["http"], REFUSED_ONCE) as proxy:
        through_proxy = environment | {
            variable: proxy.endpoint for variable in environment if variable.startswith("AWS_ENDPOINT_URL_PERSONALIZE")}
        run(sdk.checks(name, tracking_id), cwd=sdk.folder, env=through_proxy)
    assert all(proxy.calls[operation] > 1 for operation in REFUSED_ONCE), proxy.calls

    [event] = [event for event in topics.interactions(penchant, messages, "sdk-checks") if event.event_id == name]
    # botocore, which the CLI is made of, sends whole seconds.
    assert event.timestamp_ms == (1709210096000 if sdk.name == "cli" else 1709210096789)
    assert (event.item_id, event.event_value) == ('Über & "Bücher" 漢字', 0.5)
