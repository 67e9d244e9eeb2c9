"""A Personalize user's first day, on MovieLens 1M, through boto3 and nothing else."""

import collections
import gzip
import io
import json
import time
import uuid

import pyarrow.parquet as parquet
import pytest

from conftest import INTERACTIONS_SCHEMA, ROLE_ARN, wait_active, wait_for

ITEMS = {
    "type": "record", "name": "Items", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
    "fields": [
        {"name": "ITEM_ID", "type": "string"}, {"name": "TITLE", "type": ["null", "string"]},
        {"name": "GENRE", "type": ["null", "string"], "categorical": True}, {"name": "YEAR", "type": ["null", "int"]},
        {"name": "CREATION_TIMESTAMP", "type": "long"},
    ],
}


class World:
    """What the tests of this file share: the chain from data to campaign."""


@pytest.fixture(scope="module")
def movielens(penchant, shared):
    world = World()
    world.penchant = penchant
    world.personalize, world.events = penchant.client("personalize"), penchant.client("personalize-events")
    world.runtime, world.s3 = penchant.client("personalize-runtime"), penchant.client("s3")
    personalize = world.personalize

    penchant.fresh_bucket("movies")
    # Every twelfth user, whose events take less time to train on.
    header, *rows = gzip.decompress((shared / "ml-1m" / "interactions.csv.gz").read_bytes()).decode().splitlines()
    rows = [row for row in rows if int(row.split(",", 1)[0]) % 12 == 0]
    world.s3.put_object(Bucket="movies", Key="interactions.csv", Body="\n".join([header, *rows]).encode())
    items = gzip.decompress((shared / "ml-1m" / "items.csv.gz").read_bytes())
    world.s3.put_object(Bucket="movies", Key="items.csv", Body=items)
    world.users = sorted({row.split(",", 1)[0] for row in rows}, key=int)
    world.items = {row.split(",", 2)[1] for row in rows}
    world.imported = len(rows)
    world.genres = {}
    for line in items.decode().splitlines()[1:]:
        item, rest = line.split(",", 1)
        world.genres[item] = set(rest.rsplit(",", 3)[1].split("|"))

    world.group = personalize.create_dataset_group(name="movies")["datasetGroupArn"]
    wait_active(personalize.describe_dataset_group, "datasetGroup", datasetGroupArn=world.group)
    world.timings = {}
    for kind, schema in (("Interactions", INTERACTIONS_SCHEMA), ("Items", ITEMS)):
        name = f"movies-{kind.lower()}"
        schema_arn = personalize.create_schema(name=name, schema=json.dumps(schema))["schemaArn"]
        dataset = personalize.create_dataset(
            name=name, datasetGroupArn=world.group, datasetType=kind, schemaArn=schema_arn)["datasetArn"]
        wait_active(personalize.describe_dataset, "dataset", datasetArn=dataset)
        started = time.monotonic()
        job = personalize.create_dataset_import_job(
            jobName=name, datasetArn=dataset, roleArn=ROLE_ARN,
            dataSource={"dataLocation": f"s3://movies/{kind.lower()}.csv"})["datasetImportJobArn"]
        wait_active(personalize.describe_dataset_import_job, "datasetImportJob", datasetImportJobArn=job)
        world.timings[f"import {kind}"] = time.monotonic() - started

    tracker = personalize.create_event_tracker(name="movies", datasetGroupArn=world.group)
    wait_active(personalize.describe_event_tracker, "eventTracker", eventTrackerArn=tracker["eventTrackerArn"])
    world.tracking_id = tracker["trackingId"]

    world.campaigns, world.metrics = {}, {}
    # Rankings learn from the shorter histories alone, to save time; recommendations from everybody's.
    config_of = {"aws-personalized-ranking": {
        "solutionConfig": {"featureTransformationParameters": {"max_user_history_length_percentile": "0.5"}}}}
    for recipe in ("aws-user-personalization", "aws-popularity-count", "aws-sims", "aws-personalized-ranking"):
        solution = personalize.create_solution(
            name=recipe, datasetGroupArn=world.group, recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
            performAutoTraining=False, **config_of.get(recipe, {}))["solutionArn"]
        wait_active(personalize.describe_solution, "solution", solutionArn=solution)
        started = time.monotonic()
        version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
        wait_active(personalize.describe_solution_version, "solutionVersion", solutionVersionArn=version)
        world.timings[f"train {recipe}"] = time.monotonic() - started
        world.metrics[recipe] = personalize.get_solution_metrics(solutionVersionArn=version)["metrics"]
        config = {"itemExplorationConfig": {"explorationWeight": "0"}} if recipe == "aws-user-personalization" else {}
        campaign = personalize.create_campaign(
            name=recipe, solutionVersionArn=version, minProvisionedTPS=1, campaignConfig=config)["campaignArn"]
        wait_active(personalize.describe_campaign, "campaign", campaignArn=campaign)
        world.campaigns[recipe] = campaign
    print("\nseconds:", {step: round(took, 1) for step, took in world.timings.items()})
    print("metrics:", json.dumps(world.metrics, indent=1))
    return world


def recommend(world, user, count=25, **more):
    answer = world.runtime.get_recommendations(
        campaignArn=world.campaigns["aws-user-personalization"], userId=user, numResults=count, **more)
    return [item["itemId"] for item in answer["itemList"]]


def send(world, session, items, user=None, prefix="e"):
    event_ids = [f"{prefix}-{uuid.uuid4()}" for _ in items]
    arguments = {"userId": user} if user else {}
    world.events.put_events(
        trackingId=world.tracking_id, sessionId=session, **arguments,
        eventList=[{"eventId": event, "eventType": "rate", "itemId": item, "sentAt": time.time()}
                   for event, item in zip(event_ids, items)])
    return event_ids


def of_genre(world, genre, count, skip=()):
    return sorted((item for item, genres in world.genres.items() if genres == {genre} and item not in skip), key=int)[:count]


def share(world, items, genre):
    return sum(genre in world.genres.get(item, ()) for item in items) / len(items)


def test_a_hundred_users_get_full_pages(movielens):
    lists = {}
    for user in movielens.users[:: len(movielens.users) // 100][:100]:
        answer = movielens.runtime.get_recommendations(
            campaignArn=movielens.campaigns["aws-user-personalization"], userId=user)
        items, scores = zip(*((item["itemId"], item["score"]) for item in answer["itemList"]))
        assert len(set(items)) == 25 and set(items) <= movielens.items
        assert list(scores) == sorted(scores, reverse=True) and 0 < sum(scores) <= 1 + 1e-6
        assert answer["recommendationId"].startswith("RID-")
        lists[user] = items
    assert len(lists) == 100
    assert len(set(lists.values())) > 90, "most users have a list of their own"


def test_five_events_move_a_known_users_list(movielens):
    genre, user = "Horror", min(movielens.users[:400], key=lambda u: share(movielens, recommend(movielens, u, 10), "Horror"))
    before = recommend(movielens, user, 10)
    send(movielens, "session-of-" + user, of_genre(movielens, genre, 5), user=user)
    acknowledged = time.monotonic()
    wait_for("a horror film among the first ten", lambda: share(movielens, recommend(movielens, user, 10), genre) > share(
        movielens, before, genre), every=0.005)
    print(f"\nlist moved {1000 * (time.monotonic() - acknowledged):.0f} ms after the acknowledgement")


def test_an_anonymous_session_gets_a_list_of_its_own(movielens):
    session = "anonymous-" + uuid.uuid4().hex
    cold = recommend(movielens, session, 10)
    assert cold == recommend(movielens, "somebody-else-unknown", 10), "unknown visitors see what is popular"
    send(movielens, session, of_genre(movielens, "Horror", 5))
    warm = wait_for("the session's own list", lambda: (lambda now: now if now != cold else None)(recommend(movielens, session, 10)), every=0.005)
    assert share(movielens, warm, "Horror") > share(movielens, cold, "Horror")
    # The visitor signs in: the session's events count for the user.
    user = "new-user-" + uuid.uuid4().hex
    send(movielens, session, of_genre(movielens, "Horror", 1), user=user)
    wait_for("the user has the session's taste", lambda: share(movielens, recommend(movielens, user, 10), "Horror") >= share(
        movielens, warm, "Horror"), every=0.005)


def test_ranking_orders_the_given_list_and_puts_unknown_items_last(movielens):
    user = movielens.users[10]
    given = of_genre(movielens, "Comedy", 10) + ["no-such-film"] + of_genre(movielens, "Western", 10)
    answer = movielens.runtime.get_personalized_ranking(
        campaignArn=movielens.campaigns["aws-personalized-ranking"], userId=user, inputList=given)["personalizedRanking"]
    assert sorted(item["itemId"] for item in answer) == sorted(given)
    assert answer[-1]["itemId"] == "no-such-film" and "score" not in answer[-1]
    assert sum(item["score"] for item in answer[:-1]) == pytest.approx(1, abs=1e-3)


def test_related_items(movielens):
    answer = movielens.runtime.get_recommendations(campaignArn=movielens.campaigns["aws-sims"], itemId="260", numResults=10)
    items = [item["itemId"] for item in answer["itemList"]]
    assert "260" not in items and len(items) == 10
    assert "1196" in items[:3], "beside Star Wars stands The Empire Strikes Back"
    assert all("score" not in item for item in answer["itemList"])


def test_models_beat_popularity(movielens):
    def ndcg(recipe):
        return movielens.metrics[recipe]["normalized_discounted_cumulative_gain_at_25"]

    assert ndcg("aws-user-personalization") > 1.5 * ndcg("aws-popularity-count")


def test_the_archive_holds_every_event_once(movielens):
    sent = []
    for n in range(30):
        sent += send(movielens, f"archive-{n}", of_genre(movielens, "Comedy", 10), user=f"archive-user-{n}", prefix="archived")

    def archived():
        found = collections.Counter()
        pages = movielens.s3.get_paginator("list_objects_v2").paginate(Bucket=movielens.penchant.bucket, Prefix="archive/movies-")
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            if "/interactions/" not in entry["Key"]:
                continue
            body = movielens.s3.get_object(Bucket=movielens.penchant.bucket, Key=entry["Key"])["Body"].read()
            table = parquet.read_table(io.BytesIO(body))
            found.update(table.column("EVENT_ID").to_pylist())
        return found

    def complete():
        found = archived()
        return found if set(sent) <= set(found) else None

    found = wait_for("all events are archived", complete, every=0.5)
    assert max(found.values()) == 1
