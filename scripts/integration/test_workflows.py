"""The pipeline that comes with Penchant, installed by its command and run through boto3's Step Functions client on MovieLens 1M."""

import datetime
import gzip
import http.server
import json
import os
import queue
import subprocess
import threading

import pytest

import pages
from conftest import ROLE_ARN, ROOT, wait_active, wait_for

BUCKET = "films"
LONG = bool(os.environ.get("PENCHANT_TEST_LONG"))


class Question(http.server.BaseHTTPRequestHandler):
    """A colleague's mailbox: what the workflow asks goes into the server's queue."""

    def do_POST(self):
        self.server.questions.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def mailbox():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Question)
    server.questions = queue.Queue()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def films(penchant, shared):
    """The files in a bucket: MovieLens 1M, or, short, what 80 of its users have rated."""
    penchant.fresh_bucket(BUCKET)
    s3 = penchant.client("s3")
    for name in ("interactions", "users", "items"):
        header, *rows = gzip.decompress((shared / "ml-1m" / f"{name}.csv.gz").read_bytes()).decode().splitlines()
        if not LONG and name != "items":
            rows = [row for row in rows if int(row.split(",", 1)[0]) % 75 == 0]
        s3.put_object(Bucket=BUCKET, Key=f"{name}.csv", Body="\n".join([header, *rows]).encode())
    s3.put_object(Bucket=BUCKET, Key="users.json", Body=b'{"userId": "75"}\n{"userId": "150"}\n')
    s3.put_object(Bucket=BUCKET, Key="items.json", Body=b'{"itemId": "1"}\n{"itemId": "2571"}\n')
    yield s3
    penchant.drop_bucket(BUCKET)


def command(penchant, *arguments):
    """Runs `penchant workflow` about the running process, and returns what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENCHANT_")}
    environment |= {"PENCHANT_DATA_DIR": str(penchant.data_dir), "PENCHANT_ACCESS_KEYS": f"{penchant.access_key}:{penchant.secret_key}"}
    return subprocess.run([ROOT / "bin" / "penchant", "workflow", *arguments], env=environment, check=True, capture_output=True, text=True).stdout


def the_input(mailbox):
    """The input that docs/workflows.md shows, for two dataset groups: one trains what users get, the other what is similar."""
    [shown] = pages.blocks("workflows.md", "json", "The pipeline that comes with Penchant")
    asked = json.loads(shown)
    asked["settings"] |= {"pollSeconds": 1, "popularityMargin": 0 if LONG else -1, "servingMargin": -1}
    [personal] = asked["datasetGroups"]
    personal["approval"] = {"url": f"http://127.0.0.1:{mailbox.server_port}/ask"}
    similar = json.loads(json.dumps(personal)) | {"name": "similar", "popularityMargin": -1, "solution": {"RecipeArn": "arn:aws:personalize:::recipe/aws-sims"}}
    similar["batch"] |= {"JobInput": {"S3DataSource": {"Path": "s3://films/items.json"}},
                         "JobOutput": {"S3DataDestination": {"Path": "s3://films/similar/"}}}
    del similar["approval"]
    if not LONG:
        personal["solution"]["RecipeArn"] = "arn:aws:personalize:::recipe/aws-popularity-count"
    return asked | {"datasetGroups": [personal, similar]}


def ended(states, arn):
    described = wait_for("the execution's end", lambda: (lambda d: d if d["status"] != "RUNNING" else None)(
        states.describe_execution(executionArn=arn)), seconds=1800 if LONG else 180, every=0.2)
    assert described["status"] == "SUCCEEDED", (described.get("error"), described.get("cause"))
    return {group["name"]: group for group in json.loads(described["output"])}


def test_the_pipeline_imports_trains_asks_deploys_and_makes_lists(penchant, films, mailbox):
    assert "pipeline" in command(penchant, "list")
    machine = json.loads(command(penchant, "install", "pipeline", "--as", "films-pipeline", "-o", "json"))["stateMachineArn"]
    states, personalize, runtime = (penchant.client(name) for name in ("stepfunctions", "personalize", "personalize-runtime"))
    assert states.describe_state_machine(stateMachineArn=machine)["definition"] == command(penchant, "show", "pipeline")
    asked = the_input(mailbox)
    first = states.start_execution(stateMachineArn=machine, name="first", input=json.dumps(asked))["executionArn"]
    question = mailbox.questions.get(timeout=1800 if LONG else 180)
    assert question["execution"] == first and question["datasetGroup"] == "films"
    assert personalize.list_campaigns(solutionArn=question["new"]["arn"].rsplit("/", 1)[0])["campaigns"] == [], "nothing is deployed before the answer"
    states.send_task_success(taskToken=question["taskToken"], output=json.dumps({"by": "Ada"}))
    groups = ended(states, first)
    print("\n", json.dumps(groups, indent=1))
    assert [group["outcome"] for group in groups.values()] == ["DEPLOYED", "DEPLOYED"]
    assert len(runtime.get_recommendations(campaignArn=groups["films"]["campaignArn"], userId="75", numResults=10)["itemList"]) == 10
    assert len(runtime.get_recommendations(campaignArn=groups["similar"]["campaignArn"], itemId="1", numResults=10)["itemList"]) == 10
    for key, lines in (("lists/users.json.out", 2), ("similar/items.json.out", 2)):
        body = films.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode().splitlines()
        assert len(body) == lines and all(len(json.loads(line)["output"]["recommendedItems"]) == 25 for line in body)

    # The next run finds what has a name, is told no for one group, and refuses the other by itself.
    asked["datasetGroups"][1]["popularityMargin"] = 1
    second = states.start_execution(stateMachineArn=machine, name="second", input=json.dumps(asked))["executionArn"]
    states.send_task_failure(taskToken=mailbox.questions.get(timeout=1800 if LONG else 180)["taskToken"], error="NotNow", cause="it is Friday")
    again = ended(states, second)
    assert {name: (group["outcome"], group["reason"]["Error"]) for name, group in again.items()} == {
        "films": ("REFUSED", "NotNow"), "similar": ("REFUSED", "BelowPopularity")}
    for name, group in groups.items():
        serving = personalize.describe_campaign(campaignArn=group["campaignArn"])["campaign"]["solutionVersionArn"]
        assert serving == group["new"]["arn"] == again[name]["serving"]["arn"]
    history = [event["type"] for page in states.get_paginator("get_execution_history").paginate(executionArn=second) for event in page["events"]]
    assert history[0] == "ExecutionStarted" and history[-1] == "ExecutionSucceeded" and history.count("MapIterationSucceeded") == 2

    # A task can ask for recommendations, and put events.
    tracker = personalize.create_event_tracker(name="films", datasetGroupArn=groups["films"]["campaignArn"].replace(":campaign/", ":dataset-group/"))
    wait_active(personalize.describe_event_tracker, "eventTracker", eventTrackerArn=tracker["eventTrackerArn"])
    sdk = "arn:aws:states:::aws-sdk:"
    watcher = states.create_state_machine(name="watcher", roleArn=ROLE_ARN, definition=json.dumps({"StartAt": "Ask", "States": {
        "Ask": {"Type": "Task", "Resource": sdk + "personalizeruntime:getRecommendations", "ResultPath": "$.list", "Next": "Watch",
                "Parameters": {"CampaignArn.$": "$.campaign", "UserId": "75", "NumResults": 3}},
        "Watch": {"Type": "Task", "Resource": sdk + "personalizeevents:putEvents", "ResultPath": None, "End": True,
                  "Parameters": {"TrackingId.$": "$.tracker", "UserId": "75", "SessionId": "s", "EventList": [
                      {"EventType": "watch", "ItemId.$": "$.list.ItemList[0].ItemId", "SentAt.$": "$$.Execution.StartTime"}]}}}}))["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=watcher, input=json.dumps(
        {"campaign": groups["films"]["campaignArn"], "tracker": tracker["trackingId"]}))["executionArn"]
    described = wait_for("the watcher's end", lambda: (lambda d: d if d["status"] != "RUNNING" else None)(states.describe_execution(executionArn=execution)))
    assert described["status"] == "SUCCEEDED", described
    assert len(json.loads(described["output"])["list"]["ItemList"]) == 3


def test_a_schedule_starts_a_state_machine(penchant):
    states, scheduler = penchant.client("stepfunctions"), penchant.client("scheduler")
    machine = states.create_state_machine(name="echo", roleArn=ROLE_ARN, definition=json.dumps(
        {"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": True}}}))["stateMachineArn"]
    target = {"Arn": machine, "RoleArn": ROLE_ARN, "Input": json.dumps({"at": "<aws.scheduler.scheduled-time>"})}
    window = {"Mode": "OFF"}
    arn = scheduler.create_schedule(
        Name="daily", ScheduleExpression="rate(1 day)", Target=target, FlexibleTimeWindow=window)["ScheduleArn"]
    created = scheduler.get_schedule(Name="daily")
    assert created["Arn"] == arn and created["State"] == "ENABLED" and created["ScheduleExpressionTimezone"] == "UTC"
    [execution] = wait_for("the first execution", lambda: [
        e for e in states.list_executions(stateMachineArn=machine)["executions"] if e["status"] == "SUCCEEDED"])
    output = json.loads(states.describe_execution(executionArn=execution["executionArn"])["output"])
    assert output["at"] == created["CreationDate"].astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule(Name="daily", ScheduleExpression="rate(2 days)", Target=target, FlexibleTimeWindow=window)
    with pytest.raises(scheduler.exceptions.ValidationException, match="has 5 fields"):
        scheduler.create_schedule(Name="wrong", ScheduleExpression="cron(0 2 * * *)", Target=target, FlexibleTimeWindow=window)
    scheduler.update_schedule(Name="daily", ScheduleExpression="cron(30 2 * * ? *)", ScheduleExpressionTimezone="Europe/Berlin",
                              State="DISABLED", Target=target, FlexibleTimeWindow=window)
    [listed] = scheduler.list_schedules(NamePrefix="da", State="DISABLED", GroupName="default")["Schedules"]
    assert listed["Name"] == "daily" and listed["Target"]["Arn"] == machine
    scheduler.delete_schedule(Name="daily")
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name="daily")
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 1
