"""What the AWS CLI does around its calls: paging, errors by name, times, retries. See test_sdks.py."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

name, tracking_id = sys.argv[1:]
absent = "arn:aws:personalize:us-east-1:000000000000:campaign/absent"
schema = json.dumps({
    "type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
    "fields": [{"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"}, {"name": "TIMESTAMP", "type": "long"}],
})

# Version 1 prints times as numbers unless it is told otherwise.
pathlib.Path("config").write_text("[default]\ncli_timestamp_format = iso8601\n")
os.environ["AWS_CONFIG_FILE"] = "config"


def aws(*arguments, refused=None):
    done = subprocess.run(["aws", *arguments], capture_output=True, text=True)
    if refused:
        assert done.returncode != 0 and f"({refused})" in done.stderr, f"{arguments}: {done.stdout} {done.stderr}"
        return None
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


for n in range(3):
    aws("personalize", "create-schema", "--name", f"{name}-{n}", "--schema", schema)
found = [s for s in aws("personalize", "list-schemas", "--page-size", "2")["schemas"] if s["name"].startswith(f"{name}-")]
assert sorted(s["name"] for s in found) == [f"{name}-{n}" for n in range(3)], found
first = aws("personalize", "list-schemas", "--max-items", "1")
assert len(first["schemas"]) == 1
second = aws("personalize", "list-schemas", "--max-items", "1", "--starting-token", first["NextToken"])
assert second["schemas"][0]["name"] != first["schemas"][0]["name"]
made = datetime.datetime.fromisoformat(found[0]["creationDateTime"])
assert abs(made - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5), made

aws("personalize", "create-schema", "--name", f"{name}-0", "--schema", schema, refused="ResourceAlreadyExistsException")
aws("personalize", "describe-campaign", "--campaign-arn", absent, refused="ResourceNotFoundException")
aws("personalize", "create-schema", "--name", "no spaces", "--schema", schema, refused="InvalidInputException")
aws("personalize-runtime", "get-recommendations", "--campaign-arn", absent, "--user-id", "ada", refused="ResourceNotFoundException")
event = ["personalize-events", "put-events", "--tracking-id", tracking_id, "--session-id", "s", "--user-id", "ada", "--event-list"]
aws(*event, json.dumps([{"eventType": "view", "itemId": "book", "sentAt": 0, "properties": "no JSON"}]), refused="InvalidInputException")
aws(*event, json.dumps([{
    "eventId": name, "eventType": "view", "itemId": 'Über & "Bücher" 漢字', "eventValue": 0.5, "sentAt": "2024-02-29T12:34:56.789Z"}]))
