"""The documentation's programs run as they stand."""

import os
import pathlib
import re
import subprocess
import sys

from conftest import ACCESS_KEY, REGION, ROOT, SECRET_KEY


def python_of(page: pathlib.Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))


def test_getting_started_runs_as_written(penchant):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for service in ("PERSONALIZE", "PERSONALIZE_EVENTS", "PERSONALIZE_RUNTIME"):
        environment[f"AWS_ENDPOINT_URL_{service}"] = penchant.endpoints["http"]
    environment |= {
        "AWS_ENDPOINT_URL_S3": penchant.endpoints["s3"], "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    program = python_of(ROOT / "docs" / "getting-started.md")
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "cookbooks" in done.stdout.splitlines()[-1]
