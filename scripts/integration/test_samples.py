"""The call sequences of AWS's public Personalize samples, one test each, on small generated data.

A sample's own texts and data are not here: only the order of its calls and the shape of their requests, which is what a
team's existing code looks like.
"""

import datetime
import json
import time
import uuid

import pytest

import operations
from conftest import ROLE_ARN, wait_active, wait_for

BUCKET = "samples"
RECIPE = "arn:aws:personalize:::recipe/"
SCHEMAS = operations.SCHEMAS
SHOP_ITEMS = operations.schema("Items", operations.ITEM, ("PRICE", "float"), ("CATEGORY_L1", "string"), ("CREATION_TIMESTAMP", "long"))
SHOP_EVENTS = operations.schema("Interactions", operations.USER, operations.ITEM, operations.TIME, operations.TYPE)
FILM_ITEMS = operations.schema("Items", operations.ITEM, ("TITLE", ["null", "string"]), ("GENRES", "string"), ("CREATION_TIMESTAMP", "long"))


def columns(text, names):
    """The named columns of a CSV text, under new names."""
    header, *rows = (line.split(",") for line in text.splitlines())
    return "\n".join(",".join(name if row is header else row[header.index(old)] for old, name in names.items()) for row in [header, *rows]) + "\n"


class Sample:
    """A dataset group, and the calls that the samples repeat."""

    def __init__(self, penchant, domain=None):
        self.penchant = penchant
        self.personalize, self.events = penchant.client("personalize"), penchant.client("personalize-events")
        self.runtime, self.s3 = penchant.client("personalize-runtime"), penchant.client("s3")
        self.name = "sample-" + uuid.uuid4().hex[:8]
        self.arns, self.schemas = {}, []
        request = {"domain": domain} if domain else {}
        self.domain = request
        self.group = self.personalize.create_dataset_group(name=self.name, **request)["datasetGroupArn"]
        wait_active(self.personalize.describe_dataset_group, "datasetGroup", datasetGroupArn=self.group)

    def schema(self, label, text):
        arn = self.personalize.create_schema(name=f"{self.name}-{label}", schema=text, **self.domain)["schemaArn"]
        self.schemas.append(arn)
        return arn

    def dataset(self, kind, schema):
        arn = self.personalize.create_dataset(
            name=f"{self.name}-{kind}", datasetGroupArn=self.group, datasetType=kind, schemaArn=self.schema(kind, schema))["datasetArn"]
        wait_active(self.personalize.describe_dataset, "dataset", datasetArn=arn)
        self.arns[kind] = arn
        return arn

    def load(self, kind, text, mode="FULL"):
        key = f"{self.name}/{uuid.uuid4().hex}.csv"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        job = self.personalize.create_dataset_import_job(
            jobName="import-" + uuid.uuid4().hex[:8], datasetArn=self.arns[kind], roleArn=ROLE_ARN, importMode=mode,
            dataSource={"dataLocation": f"s3://{BUCKET}/{key}"})["datasetImportJobArn"]
        return wait_active(self.personalize.describe_dataset_import_job, "datasetImportJob", datasetImportJobArn=job)

    def solution(self, recipe, **more):
        assert RECIPE + recipe in {r["recipeArn"] for page in self.personalize.get_paginator("list_recipes").paginate() for r in page["recipes"]}
        return self.personalize.create_solution(
            name=f"{self.name}-{uuid.uuid4().hex[:8]}", datasetGroupArn=self.group, recipeArn=RECIPE + recipe, **more)["solutionArn"]

    def version(self, solution, **more):
        arn = self.personalize.create_solution_version(solutionArn=solution, **more)["solutionVersionArn"]
        wait_active(self.personalize.describe_solution_version, "solutionVersion", solutionVersionArn=arn)
        return arn

    def campaign(self, version, **more):
        arn = self.personalize.create_campaign(
            name=f"{self.name}-{uuid.uuid4().hex[:8]}", solutionVersionArn=version, minProvisionedTPS=1, **more)["campaignArn"]
        wait_active(self.personalize.describe_campaign, "campaign", campaignArn=arn)
        return arn

    def recommender(self, recipe, **more):
        arn = self.personalize.create_recommender(
            name=f"{self.name}-{recipe[-20:]}", recipeArn=RECIPE + recipe, datasetGroupArn=self.group, **more)["recommenderArn"]
        wait_active(self.personalize.describe_recommender, "recommender", recommenderArn=arn)
        return arn

    def filter(self, expression):
        arn = self.personalize.create_filter(
            name=f"{self.name}-{uuid.uuid4().hex[:8]}", datasetGroupArn=self.group, filterExpression=expression)["filterArn"]
        wait_active(self.personalize.describe_filter, "filter", filterArn=arn)
        return arn

    def tracker(self):
        tracker = self.personalize.create_event_tracker(name=self.name, datasetGroupArn=self.group)
        wait_active(self.personalize.describe_event_tracker, "eventTracker", eventTrackerArn=tracker["eventTrackerArn"])
        return tracker["trackingId"]

    def recommend(self, **request):
        return [item["itemId"] for item in self.runtime.get_recommendations(**request)["itemList"]]

    def put(self, key, lines):
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.name}/{key}", Body="".join(json.dumps(line) + "\n" for line in lines).encode())
        return f"s3://{BUCKET}/{self.name}/{key}"

    def lines(self, key):
        body = self.s3.get_object(Bucket=BUCKET, Key=f"{self.name}/{key}")["Body"].read()
        return [json.loads(line) for line in body.splitlines()]

    def clean_up(self):
        """What the samples' last notebooks do: find everything of the group through lists, and delete it in order."""
        p = self.personalize

        def all_of(operation, member, **request):
            return [entry for page in p.get_paginator(operation).paginate(**request) for entry in page[member]]

        def delete(operation, describe, **arn):
            getattr(p, operation)(**arn)

            def is_gone():
                try:
                    getattr(p, describe)(**arn)
                except p.exceptions.ResourceNotFoundException:
                    return True

            wait_for(f"{operation} of {arn}", is_gone)

        of_group = {"datasetGroupArn": self.group}
        for entry in all_of("list_recommenders", "recommenders", **of_group):
            delete("delete_recommender", "describe_recommender", recommenderArn=entry["recommenderArn"])
        for entry in all_of("list_metric_attributions", "metricAttributions", **of_group):
            delete("delete_metric_attribution", "describe_metric_attribution", metricAttributionArn=entry["metricAttributionArn"])
        for entry in all_of("list_solutions", "solutions", **of_group):
            for campaign in all_of("list_campaigns", "campaigns", solutionArn=entry["solutionArn"]):
                delete("delete_campaign", "describe_campaign", campaignArn=campaign["campaignArn"])
            delete("delete_solution", "describe_solution", solutionArn=entry["solutionArn"])
        for entry in all_of("list_event_trackers", "eventTrackers", **of_group):
            delete("delete_event_tracker", "describe_event_tracker", eventTrackerArn=entry["eventTrackerArn"])
        for entry in p.list_filters(**of_group)["Filters"]:
            delete("delete_filter", "describe_filter", filterArn=entry["filterArn"])
        for entry in all_of("list_datasets", "datasets", **of_group):
            delete("delete_dataset", "describe_dataset", datasetArn=entry["datasetArn"])
        for schema in self.schemas:
            p.delete_schema(schemaArn=schema)
        delete("delete_dataset_group", "describe_dataset_group", datasetGroupArn=self.group)


@pytest.fixture(scope="module")
def files(penchant):
    penchant.fresh_bucket(BUCKET)
    return operations.files()


@pytest.fixture
def custom(penchant, files):
    """Interactions, Items and Users in a custom dataset group."""
    sample = Sample(penchant)
    for kind, name in (("Interactions", "interactions"), ("Items", "items-2"), ("Users", "users")):
        sample.dataset(kind, SCHEMAS[name])
        sample.load(kind, files[f"{name.removesuffix('-2')}.csv"])
    yield sample
    sample.clean_up()


@pytest.fixture
def shop(penchant, files):
    sample = Sample(penchant, "ECOMMERCE")
    sample.dataset("Interactions", SHOP_EVENTS)
    sample.dataset("Items", SHOP_ITEMS)
    sample.load("Interactions", files["interactions.csv"])
    sample.load("Items", files["catalogue.csv"])
    yield sample
    sample.clean_up()


@pytest.fixture
def films(penchant, files):
    sample = Sample(penchant, "VIDEO_ON_DEMAND")
    sample.dataset("Interactions", SHOP_EVENTS)
    sample.dataset("Items", FILM_ITEMS)
    sample.load("Interactions", files["interactions.csv"].replace("View", "Watch"))
    names = {"ITEM_ID": "ITEM_ID", "LABEL": "TITLE", "GENRES": "GENRES", "CREATION_TIMESTAMP": "CREATION_TIMESTAMP"}
    sample.load("Items", columns(files["items.csv"], names))
    yield sample
    sample.clean_up()


def genre_of(item):
    return operations.GENRES[int(item.removeprefix("i")) % len(operations.GENRES)]


def test_the_first_campaign(custom):
    solution = custom.solution("aws-user-personalization")
    version = custom.version(solution)
    assert custom.personalize.get_solution_metrics(solutionVersionArn=version)["metrics"]["precision_at_5"] >= 0
    campaign = custom.campaign(version, campaignConfig={"itemExplorationConfig": {"explorationWeight": "0.5"}})
    assert len(custom.recommend(campaignArn=campaign, userId="u7")) == 25
    # The item stands in the properties only, as the first SDKs had it.
    custom.events.put_events(
        trackingId=custom.tracker(), userId="u7", sessionId=str(uuid.uuid1()),
        eventList=[{"sentAt": int(time.time()), "eventType": "EVENT_TYPE", "properties": json.dumps({"itemId": "i5"})}])
    assert len(custom.recommend(campaignArn=campaign, userId="u7", itemId="i5")) == 25


def test_recommenders_of_a_shop_and_promotions(shop):
    also_viewed = shop.recommender("aws-ecomm-customers-who-viewed-x-also-viewed")
    for_you = shop.recommender("aws-ecomm-recommended-for-you")
    assert len(shop.recommend(recommenderArn=also_viewed, itemId="i5", userId="u5", numResults=10)) == 10
    assert len(shop.recommend(recommenderArn=for_you, userId="u5", numResults=20)) == 20
    category = shop.filter("INCLUDE ItemID WHERE ITEMS.CATEGORY_L1 IN ($CATEGORY)")
    only = shop.recommend(recommenderArn=for_you, userId="u5", numResults=10, filterArn=category, filterValues={"CATEGORY": '"Horror"'})
    assert only and {genre_of(item) for item in only} == {"Horror"}
    promotion = {"name": "western_promotion", "percentPromotedItems": 20, "filterArn": category, "filterValues": {"CATEGORY": '"Western"'}}
    answer = shop.runtime.get_recommendations(recommenderArn=for_you, userId="u5", numResults=10, promotions=[promotion])["itemList"]
    promoted = [item["itemId"] for item in answer if item.get("promotionName") == "western_promotion"]
    assert len(answer) == 10 and len(promoted) == 2 and {genre_of(item) for item in promoted} == {"Western"}
    answer = shop.runtime.get_recommendations(
        recommenderArn=for_you, userId="u5", numResults=10, filterArn=category, filterValues={"CATEGORY": '"Comedy"'}, promotions=[promotion])["itemList"]
    assert [genre_of(item["itemId"]) for item in answer].count("Western") == 2
    assert {genre_of(item["itemId"]) for item in answer} == {"Western", "Comedy"}


def test_recommenders_of_a_video_service_with_metadata(films):
    more_like = films.recommender("aws-vod-more-like-x")
    top_picks = films.recommender("aws-vod-top-picks", recommenderConfig={"enableMetadataWithRecommendations": True})
    assert len(films.recommend(recommenderArn=more_like, userId="u5", itemId="i5", numResults=20)) == 20
    answer = films.runtime.get_recommendations(
        recommenderArn=top_picks, userId="u5", numResults=15, metadataColumns={"ITEMS": ["TITLE", "GENRES"]})["itemList"]
    assert len(answer) == 15
    assert all(item["metadata"]["GENRES"] == genre_of(item["itemId"]) for item in answer)


def test_context_and_a_filter_from_it(custom):
    campaign = custom.campaign(
        custom.version(custom.solution("aws-user-personalization")), campaignConfig={"itemExplorationConfig": {"explorationWeight": "0.5"}})
    allowed = custom.filter("INCLUDE ItemID WHERE Items.GENRES IN ($CONTEXT_GENRE)")
    assert len(custom.recommend(campaignArn=campaign, userId="nobody", context={"DEVICE_TYPE": "Phone"})) == 25
    found = custom.recommend(
        campaignArn=campaign, userId="u6", filterArn=allowed, context={"DEVICE_TYPE": "Phone"}, filterValues={"CONTEXT_GENRE": '"Drama"'})
    assert found and {genre_of(item) for item in found} == {"Drama"}


def test_batch_recommendations(custom):
    version = custom.version(custom.solution("aws-user-personalization"))
    users = [f"u{n}" for n in range(20)]
    job = custom.personalize.create_batch_inference_job(
        solutionVersionArn=version, jobName=custom.name, roleArn=ROLE_ARN, numResults=7,
        jobInput={"s3DataSource": {"path": custom.put("users.json", [{"userId": user} for user in users])}},
        jobOutput={"s3DataDestination": {"path": f"s3://{BUCKET}/{custom.name}/out/"}})["batchInferenceJobArn"]
    wait_active(custom.personalize.describe_batch_inference_job, "batchInferenceJob", batchInferenceJobArn=job)
    lines = custom.lines("out/users.json.out")
    assert [line["input"]["userId"] for line in lines] == users
    assert all(line["error"] is None and len(line["output"]["recommendedItems"]) == len(line["output"]["scores"]) == 7 for line in lines)


def test_text_in_the_items(penchant, files):
    text = json.loads(SCHEMAS["items"])
    text["fields"].append({"name": "DESCRIPTION", "type": ["null", "string"], "textual": True})
    sample = Sample(penchant)
    sample.dataset("Interactions", SCHEMAS["interactions"])
    sample.dataset("Items", json.dumps(text))
    sample.load("Interactions", files["interactions.csv"])
    sample.load("Items", files["items.csv"].replace("LABEL", "DESCRIPTION"))
    version = sample.version(sample.solution("aws-similar-items"))
    assert "coverage" in sample.personalize.get_solution_metrics(solutionVersionArn=version)["metrics"]
    sample.clean_up()


def test_optimising_an_objective(penchant, files):
    sample = Sample(penchant)
    sample.dataset("Interactions", SCHEMAS["interactions"])
    sample.dataset("Items", operations.schema("Items", operations.ITEM, ("PRICE", "float"), ("GENRES", ["null", "string"])))
    sample.load("Interactions", files["interactions.csv"])
    sample.load("Items", files["items.csv"])
    for sensitivity in ("OFF", "HIGH"):
        version = sample.version(sample.solution("aws-user-personalization", solutionConfig={
            "optimizationObjective": {"itemAttribute": "PRICE", "objectiveSensitivity": sensitivity}}))
        metrics = sample.personalize.get_solution_metrics(solutionVersionArn=version)["metrics"]
        assert sensitivity == "OFF" or 0 <= metrics["average_rewards_at_k"] <= 1
        campaign = sample.campaign(version, campaignConfig={"itemExplorationConfig": {"explorationWeight": "0.5"}})
        assert len(sample.recommend(campaignArn=campaign, userId="u5")) == 25
    sample.clean_up()


def test_ranking(custom):
    campaign = custom.campaign(custom.version(custom.solution("aws-personalized-ranking")))
    given = [f"i{n}" for n in range(0, 80, 4)]
    ranked = custom.runtime.get_personalized_ranking(campaignArn=campaign, userId="u7", inputList=given)["personalizedRanking"]
    assert sorted(item["itemId"] for item in ranked) == sorted(given)


def test_related_items_with_tuned_parameters(custom):
    for recipe, more in (("aws-sims", {}), ("aws-similar-items", {}), ("aws-sims", {"performHPO": True, "solutionConfig": {
            "hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "4", "maxParallelTrainingJobs": "2"}}}})):
        version = custom.version(custom.solution(recipe, **more))
        if more:
            described = custom.personalize.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
            assert described["tunedHPOParams"]["algorithmHyperParameters"]
        assert len(custom.recommend(campaignArn=custom.campaign(version), itemId="i5", numResults=10)) == 10


def test_trending_now(custom):
    solution = custom.solution("aws-trending-now", solutionConfig={
        "featureTransformationParameters": {"trend_discovery_frequency": "30 minutes"}})
    campaign = custom.campaign(custom.version(solution, trainingMode="FULL"))
    assert len(custom.recommend(campaignArn=campaign, numResults=25)) == 25
    tracker, now = custom.tracker(), int(time.time())
    for user in range(3):
        custom.events.put_events(trackingId=tracker, userId=f"fan{user}", sessionId="s", eventList=[
            {"eventType": "Watch", "itemId": "i9", "sentAt": now}])
    assert len(custom.recommend(campaignArn=campaign, numResults=25)) == 25


def test_datasets_that_change(custom, files):
    solution = custom.solution("aws-user-personalization")
    first = custom.version(solution, trainingMode="FULL")
    text = json.loads(SCHEMAS["items-2"])
    text["fields"].append({"name": "COLOUR", "type": ["null", "string"], "categorical": True})
    custom.personalize.update_dataset(datasetArn=custom.arns["Items"], schemaArn=custom.schema("items-3", json.dumps(text)))
    wait_for("the new schema", lambda: custom.personalize.describe_dataset(
        datasetArn=custom.arns["Items"])["dataset"]["latestDatasetUpdate"]["status"] == "ACTIVE")
    rows = files["items.csv"].splitlines()
    coloured = [rows[0] + ",COLOUR"] + [row + (",red" if n % 2 else ",blue") for n, row in enumerate(rows[1:])]
    custom.load("Items", "\n".join(coloured) + "\n")
    custom.load("Interactions", files["interactions.csv"].replace(",i", ",i7"), mode="INCREMENTAL")
    second = custom.version(solution, trainingMode="FULL")
    listed = custom.personalize.list_solution_versions(solutionArn=solution)["solutionVersions"]
    assert {first, second} == {version["solutionVersionArn"] for version in listed}
    red = custom.filter('INCLUDE ItemID WHERE Items.COLOUR IN ("red")')
    found = custom.recommend(campaignArn=custom.campaign(second), userId="u5", filterArn=red, numResults=5)
    assert len(found) == 5 and all(int(item[1:]) % 2 for item in found)


def test_exploration_and_update(custom):
    solution = custom.solution("aws-user-personalization")
    campaign = custom.campaign(custom.version(solution), campaignConfig={
        "itemExplorationConfig": {"explorationWeight": "0.9", "explorationItemAgeCutOff": "7"}})
    answer = custom.runtime.get_recommendations(campaignArn=campaign, userId="u11")
    shown = [item["itemId"] for item in answer["itemList"]]
    custom.events.put_events(trackingId=custom.tracker(), userId="u11", sessionId="1", eventList=[{
        "sentAt": datetime.datetime.now().timestamp(), "eventType": "click", "itemId": shown[0],
        "recommendationId": answer["recommendationId"], "impression": shown}])
    updated = custom.version(solution, trainingMode="UPDATE")
    custom.personalize.update_campaign(campaignArn=campaign, solutionVersionArn=updated)
    wait_for("the campaign is updated", lambda: custom.personalize.describe_campaign(
        campaignArn=campaign)["campaign"]["latestCampaignUpdate"]["status"] == "ACTIVE")
    custom.personalize.update_campaign(campaignArn=campaign, campaignConfig={
        "itemExplorationConfig": {"explorationWeight": "0.1", "explorationItemAgeCutOff": "7"}})
    described = wait_for("the campaign is updated again", lambda: (lambda c: c if c["latestCampaignUpdate"]["status"] == "ACTIVE" else None)(
        custom.personalize.describe_campaign(campaignArn=campaign)["campaign"]))
    assert described["campaignConfig"]["itemExplorationConfig"]["explorationWeight"] == "0.1"
    assert described["solutionVersionArn"] == updated
    assert len(custom.recommend(campaignArn=campaign, userId="u11")) == 25


def test_user_segments(custom):
    old = custom.filter('exclude UserId where users.age_group in ("young", "jung")')
    for recipe, key, line, more in (
            ("aws-item-affinity", "items.json", {"itemId": "i5"}, {"filterArn": old}),
            ("aws-item-attribute-affinity", "attributes.json", {"itemAttributes": 'ITEMS.genres = "Comedy"'}, {})):
        version = custom.version(custom.solution(recipe))
        assert custom.personalize.get_solution_metrics(solutionVersionArn=version)["metrics"]
        job = custom.personalize.create_batch_segment_job(
            jobName=f"{custom.name}-{recipe}", solutionVersionArn=version, numResults=10, roleArn=ROLE_ARN, **more,
            jobInput={"s3DataSource": {"path": custom.put(key, [line])}},
            jobOutput={"s3DataDestination": {"path": f"s3://{BUCKET}/{custom.name}/segments/"}})["batchSegmentJobArn"]
        wait_active(custom.personalize.describe_batch_segment_job, "batchSegmentJob", batchSegmentJobArn=job)
        [found] = custom.lines(f"segments/{key}.out")
        users = found["output"]["recommendedUsers"]
        assert len(users) == len(set(users)) == 10
        if more:
            assert all(int(user[1:]) % 2 == 0 for user in users)


def test_measuring_impact(shop):
    shop.personalize.create_metric_attribution(
        name=shop.name, datasetGroupArn=shop.group, metricsOutputConfig={
            "roleArn": ROLE_ARN, "s3DataDestination": {"path": f"s3://{BUCKET}/{shop.name}/metrics/"}},
        metrics=[{"eventType": "Purchase", "expression": "SUM(Items.PRICE)", "metricName": "purchases_amount"},
                 {"eventType": "View", "expression": "SAMPLECOUNT()", "metricName": "views"}])
    [listed] = shop.personalize.list_metric_attributions(datasetGroupArn=shop.group)["metricAttributions"]
    wait_active(shop.personalize.describe_metric_attribution, "metricAttribution", metricAttributionArn=listed["metricAttributionArn"])
    recommender = shop.recommender("aws-ecomm-customers-who-viewed-x-also-viewed")
    tracking = shop.tracker()
    answer = shop.runtime.get_recommendations(recommenderArn=recommender, itemId="i5", userId="u5", numResults=30)
    shop.events.put_events(trackingId=tracking, userId="u5", sessionId=str(uuid.uuid4()), eventList=[{
        "eventType": "Purchase", "itemId": answer["itemList"][0]["itemId"], "sentAt": time.time(), "recommendationId": answer["recommendationId"]}])
    shop.events.put_events(trackingId=tracking, userId="u6", sessionId=str(uuid.uuid4()), eventList=[{
        "eventType": "View", "itemId": "i5", "sentAt": time.time(), "metricAttribution": {"eventAttributionSource": "search"}}])


def test_a_poc_with_many_filters(custom):
    personal = custom.campaign(custom.version(custom.solution("aws-user-personalization")))
    related = custom.campaign(custom.version(custom.solution("aws-sims")))
    genres = {genre: custom.filter(f'INCLUDE ItemID WHERE Items.GENRES IN ("{genre}")') for genre in operations.GENRES}
    watched = custom.filter('INCLUDE ItemID WHERE Interactions.event_type IN ("view")')
    unwatched = custom.filter('EXCLUDE ItemID WHERE Interactions.event_type IN ("view")')
    cheap = custom.filter("INCLUDE ItemID WHERE Items.PRICE >= 10 AND Items.PRICE < 20")
    for genre, arn in genres.items():
        found = custom.recommend(campaignArn=personal, userId="u8", filterArn=arn)
        assert found and {genre_of(item) for item in found} == {genre}
    seen = set(custom.recommend(campaignArn=personal, userId="u8", filterArn=watched, numResults=500))
    unseen = set(custom.recommend(campaignArn=personal, userId="u8", filterArn=unwatched, numResults=500))
    assert seen and not seen & unseen and seen | unseen == {f"i{n}" for n in range(operations.ITEMS)}
    prices = {1 + int(item[1:]) / 2 for item in custom.recommend(campaignArn=related, itemId="i5", filterArn=cheap, numResults=100)}
    assert prices and all(10 <= price < 20 for price in prices)
    tracking = custom.tracker()
    custom.events.put_events(trackingId=tracking, userId="u8", sessionId="s8", eventList=[
        {"sentAt": int(time.time()), "eventType": "View", "properties": json.dumps({"itemId": sorted(unseen)[0]})}])
    wait_for("the filter sees the event", lambda: sorted(unseen)[0] in custom.recommend(
        campaignArn=personal, userId="u8", filterArn=watched, numResults=500))
