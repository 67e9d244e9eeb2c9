"""The documentation as tests see it: its programs, and the environment that it tells to set."""

import os
import re
import subprocess
import sys

from conftest import ROOT


def blocks(page, language, heading=None):
    """Returns the page's code blocks in a language, of the section with that heading or of all."""
    text = (ROOT / "docs" / page).read_text()
    if heading is not None:
        section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        assert section, f"docs/{page} has no section {heading!r}"
        text = section[1]
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"docs/{page} has no {language} block in {heading or 'any section'}"
    return found


def environment(page, penchant):
    """Returns this process's environment with what the page's first sh block exports, and no other AWS setting."""
    exported = {}
    for line in penchant.localised(blocks(page, "sh")[0]).splitlines():
        assert line.startswith("export "), line
        exported |= dict(pair.split("=", 1) for pair in line.removeprefix("export ").split("#")[0].split())
    inherited = {name: value for name, value in os.environ.items()
                 if not name.startswith(("AWS_", "PENCHANT_")) or name == "AWS_CA_BUNDLE"}
    # No file of the developer's own AWS account plays a part.
    return inherited | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull} | exported


def generate_messages(folder):
    """Generates the Python messages of the topics in a folder, by the command of the page."""
    (folder / "proto").symlink_to(ROOT / "proto")
    [command] = blocks("kafka.md", "sh")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    subprocess.run(["sh", "-e", "-c", command], cwd=folder, env=os.environ | {"PATH": path}, check=True)
