"""One life of a dataset group as a list of calls: every operation of the three APIs at least once.

The steps are data, so that each SDK walks the same way with its own encoders, validators and parsers: test_operations.py
interprets them with boto3, clients/javascript/operations.mjs with the AWS SDK for JavaScript.

A step is (service, operation, request, what follows). In requests "${name}" stands for what an earlier step saved, and
"${run}" for a word that differs between walks. What follows is a dict:

  save:  {name: path}   remembers members of the answer
  until: (path, value)  repeats the call until the member has the value, and fails at a value that ends in FAILED
  equal: {path: value}  members that the answer must have
  full:  path           a list that must not be empty
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
CONTROL, EVENTS, RUNTIME = "personalize", "personalize-events", "personalize-runtime"
USERS, ITEMS, ACTIONS = 90, 80, 12
GENRES = ("Comedy", "Drama", "Horror", "Western")
START = 1_700_000_000  # seconds, of the first interaction


def schema(name, *fields):
    return json.dumps({
        "type": "record", "name": name, "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
        "fields": [{"name": field, "type": kind, **({"categorical": True} if field in ("GENRES", "CATEGORY_L1", "AGE_GROUP") else {})}
                   for field, kind in fields],
    })


USER, ITEM, TIME, TYPE = ("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"), ("EVENT_TYPE", "string")
SCHEMAS = {
    "interactions": schema("Interactions", USER, ITEM, TIME, TYPE, ("EVENT_VALUE", ["null", "float"])),
    "items": schema("Items", ITEM, ("GENRES", ["null", "string"]), ("PRICE", ["null", "float"]), ("CREATION_TIMESTAMP", "long")),
    "items-2": schema("Items", ITEM, ("GENRES", ["null", "string"]), ("PRICE", ["null", "float"]), ("CREATION_TIMESTAMP", "long"),
                      ("LABEL", ["null", "string"])),
    "users": schema("Users", ("USER_ID", "string"), ("AGE_GROUP", ["null", "string"]), ("AGE", ["null", "int"])),
    "actions": schema("Actions", ("ACTION_ID", "string"), ("VALUE", ["null", "double"]), ("ACTION_EXPIRATION_TIMESTAMP", ["null", "long"]),
                      ("GENRES", ["null", "string"])),
    "action-interactions": schema("Action_Interactions", USER, ("ACTION_ID", "string"), TIME, TYPE),
}


def taste(user):
    return user % len(GENRES)


def files():
    """The CSV and JSON Lines files that the walk imports, by key. Users buy within one genre each, with some noise."""
    interactions, action_interactions = ["USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE"], ["USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE"]
    for user in range(USERS):
        for n in range(24):
            genre = taste(user) if n % 6 else n // 6
            item = (n * 7 + user * 3) % (ITEMS // len(GENRES)) * len(GENRES) + genre
            event = ("View", "View", "Purchase")[n % 3]
            interactions.append(f"u{user},i{item},{START + 3600 * n + user},{event},{n % 5}.5")
        for n in range(4):
            action = (user + n) % ACTIONS
            action_interactions.append(f"u{user},a{action},{START + 3600 * n + user},{'TAKEN' if action % 2 else 'NOT_TAKEN'}")
    items = ["ITEM_ID,GENRES,PRICE,CREATION_TIMESTAMP,LABEL"]
    items += [f"i{n},{GENRES[n % len(GENRES)]},{1 + n / 2},{START - 86400 + n},label {n}" for n in range(ITEMS)]
    users = ["USER_ID,AGE_GROUP,AGE"] + [f"u{n},{'young' if n % 2 else 'old'},{18 + n}" for n in range(USERS)]
    actions = ["ACTION_ID,VALUE,ACTION_EXPIRATION_TIMESTAMP,GENRES"]
    actions += [f"a{n},{n}.5,{START + 10 * 365 * 86400},{GENRES[n % len(GENRES)]}" for n in range(ACTIONS)]
    catalogue = ["ITEM_ID,PRICE,CATEGORY_L1,CREATION_TIMESTAMP"]
    catalogue += [f"i{n},{1 + n / 2},{GENRES[n % len(GENRES)]},{START - 86400 + n}" for n in range(ITEMS)]
    return {name: "\n".join(rows) + "\n" for name, rows in {
        "interactions.csv": interactions, "items.csv": items, "users.csv": users, "actions.csv": actions,
        "action-interactions.csv": action_interactions, "catalogue.csv": catalogue, "forget.csv": ["USER_ID", "u0", "u1"],
        "batch/users.json": [json.dumps({"userId": f"u{n}"}) for n in range(USERS)],
        "batch/items.json": [json.dumps({"itemId": f"i{n}"}) for n in range(5)],
    }.items()}


def describe(kind, member, arn, value="ACTIVE", path="status"):
    return (CONTROL, f"Describe{kind}", {f"{member}Arn": arn}, {"until": (f"{member}.{path}", value)})


def gone(kind, member, arn):
    return (CONTROL, f"Describe{kind}", {f"{member}Arn": arn}, {"until": ("error", "ResourceNotFoundException")})


def steps(bucket, role):
    """The whole walk, over files that lie in a bucket."""
    found = []

    def do(service, operation, request, **after):
        found.append((service, operation, request, after))

    def create(kind, member, saved, request, wait=True):
        do(CONTROL, f"Create{kind}", request, save={saved: f"{member}Arn"})
        if wait:
            found.append(describe(kind, member, f"${{{saved}}}"))

    def location(key):
        return f"s3://{bucket}/{key}"

    # Data.
    for name, text in SCHEMAS.items():
        do(CONTROL, "CreateSchema", {"name": f"${{run}}-{name}", "schema": text}, save={f"schema-{name}": "schemaArn"})
    do(CONTROL, "DescribeSchema", {"schemaArn": "${schema-users}"}, equal={"schema.schema": SCHEMAS["users"]})
    do(CONTROL, "ListSchemas", {"maxResults": 2}, full="schemas")
    create("DatasetGroup", "datasetGroup", "group", {"name": "${run}", "tags": [{"tagKey": "team", "tagValue": "shop"}]})
    do(CONTROL, "ListDatasetGroups", {}, full="datasetGroups")
    kinds = {"interactions": "Interactions", "items": "Items", "users": "Users", "actions": "Actions", "action-interactions": "Action_Interactions"}
    for name, kind in kinds.items():
        create("Dataset", "dataset", f"dataset-{name}", {
            "name": f"${{run}}-{name}", "datasetGroupArn": "${group}", "datasetType": kind, "schemaArn": f"${{schema-{name}}}"})
    do(CONTROL, "DescribeDataset", {"datasetArn": "${dataset-action-interactions}"}, save={"action-tracking": "dataset.trackingId"})
    do(CONTROL, "UpdateDataset", {"datasetArn": "${dataset-items}", "schemaArn": "${schema-items-2}"})
    found.append(describe("Dataset", "dataset", "${dataset-items}", path="latestDatasetUpdate.status"))
    do(CONTROL, "ListDatasets", {"datasetGroupArn": "${group}"}, full="datasets")
    for name in kinds:
        do(CONTROL, "CreateDatasetImportJob", {
            "jobName": f"${{run}}-{name}", "datasetArn": f"${{dataset-{name}}}", "roleArn": role,
            "dataSource": {"dataLocation": location(f"{name}.csv")}, "importMode": "FULL"}, save={f"import-{name}": "datasetImportJobArn"})
    for name in kinds:
        found.append(describe("DatasetImportJob", "datasetImportJob", f"${{import-{name}}}"))
    do(CONTROL, "ListDatasetImportJobs", {"datasetArn": "${dataset-items}"}, full="datasetImportJobs")

    # Events.
    do(CONTROL, "CreateEventTracker", {"name": "${run}", "datasetGroupArn": "${group}"}, save={"tracker": "eventTrackerArn", "tracking": "trackingId"})
    found.append(describe("EventTracker", "eventTracker", "${tracker}"))
    do(CONTROL, "ListEventTrackers", {"datasetGroupArn": "${group}"}, full="eventTrackers")
    do(EVENTS, "PutEvents", {
        "trackingId": "${tracking}", "userId": "u5", "sessionId": "s5",
        "eventList": [{"eventType": "View", "itemId": "i1", "sentAt": START + 500_000, "eventValue": 1.5, "impression": ["i1", "i2"]}]})
    do(EVENTS, "PutItems", {"datasetArn": "${dataset-items}", "items": [
        {"itemId": "new-item", "properties": json.dumps({"genres": "Comedy", "price": 3.5, "creationTimestamp": START, "label": "new"})}]})
    do(EVENTS, "PutUsers", {"datasetArn": "${dataset-users}", "users": [{"userId": "u5", "properties": json.dumps({"ageGroup": "old", "age": 70})}]})
    do(EVENTS, "PutActions", {"datasetArn": "${dataset-actions}", "actions": [
        {"actionId": "new-action", "properties": json.dumps({"value": 3.5, "genres": "Comedy"})}]})
    do(EVENTS, "PutActionInteractions", {"trackingId": "${action-tracking}", "actionInteractions": [
        {"actionId": "a1", "userId": "u5", "sessionId": "s5", "timestamp": START + 500_000, "eventType": "TAKEN"}]})

    # Filters.
    create("Filter", "filter", "filter", {
        "name": "${run}", "datasetGroupArn": "${group}", "filterExpression": "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)"})
    do(CONTROL, "ListFilters", {"datasetGroupArn": "${group}"}, full="Filters")

    # Recipes and models.
    do(CONTROL, "ListRecipes", {"domain": "ECOMMERCE"}, full="recipes")
    do(CONTROL, "DescribeRecipe", {"recipeArn": "arn:aws:personalize:::recipe/aws-user-personalization"},
       save={"algorithm": "recipe.algorithmArn", "transformation": "recipe.featureTransformationArn"})
    do(CONTROL, "DescribeAlgorithm", {"algorithmArn": "${algorithm}"})
    do(CONTROL, "DescribeFeatureTransformation", {"featureTransformationArn": "${transformation}"})
    recipes = {"personal": "aws-user-personalization", "ranking": "aws-personalized-ranking", "affinity": "aws-item-affinity",
               "action": "aws-next-best-action"}
    for name, recipe in recipes.items():
        create("Solution", "solution", f"solution-{name}", {
            "name": f"${{run}}-{name}", "datasetGroupArn": "${group}", "recipeArn": f"arn:aws:personalize:::recipe/{recipe}",
            "performAutoTraining": False})
        do(CONTROL, "CreateSolutionVersion", {"solutionArn": f"${{solution-{name}}}"}, save={f"version-{name}": "solutionVersionArn"})
    # Enough is in front of this one that it can still be stopped.
    do(CONTROL, "CreateSolutionVersion", {"solutionArn": "${solution-personal}"}, save={"stopped": "solutionVersionArn"})
    do(CONTROL, "StopSolutionVersionCreation", {"solutionVersionArn": "${stopped}"})
    found.append(describe("SolutionVersion", "solutionVersion", "${stopped}", "CREATE STOPPED"))
    for name in recipes:
        found.append(describe("SolutionVersion", "solutionVersion", f"${{version-{name}}}"))
    do(CONTROL, "GetSolutionMetrics", {"solutionVersionArn": "${version-personal}"}, equal={"solutionVersionArn": "${version-personal}"})
    do(CONTROL, "UpdateSolution", {"solutionArn": "${solution-personal}", "performAutoTraining": False})
    do(CONTROL, "ListSolutions", {"datasetGroupArn": "${group}"}, full="solutions")
    do(CONTROL, "ListSolutionVersions", {"solutionArn": "${solution-personal}"}, full="solutionVersions")

    # Campaigns and answers.
    for name in ("personal", "ranking", "action"):
        create("Campaign", "campaign", f"campaign-{name}", {"name": f"${{run}}-{name}", "solutionVersionArn": f"${{version-{name}}}"})
    do(CONTROL, "UpdateCampaign", {"campaignArn": "${campaign-personal}", "campaignConfig": {
        "itemExplorationConfig": {"explorationWeight": "0"}, "enableMetadataWithRecommendations": True}})
    found.append(describe("Campaign", "campaign", "${campaign-personal}", path="latestCampaignUpdate.status"))
    do(CONTROL, "ListCampaigns", {"solutionArn": "${solution-personal}"}, full="campaigns")
    do(RUNTIME, "GetRecommendations", {
        "campaignArn": "${campaign-personal}", "userId": "u5", "numResults": 5, "filterArn": "${filter}", "filterValues": {"GENRE": '"Horror"'},
        "metadataColumns": {"ITEMS": ["GENRES"]}, "context": {"DEVICE": "phone"}},
       until=("itemList.0.metadata.GENRES", "Horror"))
    do(RUNTIME, "GetPersonalizedRanking", {"campaignArn": "${campaign-ranking}", "userId": "u5", "inputList": ["i1", "i2", "i3"]},
       full="personalizedRanking")
    do(RUNTIME, "GetActionRecommendations", {"campaignArn": "${campaign-action}", "userId": "u5", "numResults": 3}, full="actionList")

    # Jobs.
    do(CONTROL, "CreateBatchInferenceJob", {
        "jobName": "${run}", "solutionVersionArn": "${version-personal}", "roleArn": role, "numResults": 5,
        "jobInput": {"s3DataSource": {"path": location("batch/users.json")}},
        "jobOutput": {"s3DataDestination": {"path": location("${run}/inference/")}}}, save={"inference": "batchInferenceJobArn"})
    do(CONTROL, "CreateBatchSegmentJob", {
        "jobName": "${run}", "solutionVersionArn": "${version-affinity}", "roleArn": role, "numResults": 5,
        "jobInput": {"s3DataSource": {"path": location("batch/items.json")}},
        "jobOutput": {"s3DataDestination": {"path": location("${run}/segments/")}}}, save={"segment": "batchSegmentJobArn"})
    do(CONTROL, "CreateDatasetExportJob", {
        "jobName": "${run}", "datasetArn": "${dataset-items}", "roleArn": role, "ingestionMode": "ALL",
        "jobOutput": {"s3DataDestination": {"path": location("${run}/export/")}}}, save={"export": "datasetExportJobArn"})
    found.append(describe("BatchInferenceJob", "batchInferenceJob", "${inference}"))
    found.append(describe("BatchSegmentJob", "batchSegmentJob", "${segment}"))
    found.append(describe("DatasetExportJob", "datasetExportJob", "${export}"))
    do(CONTROL, "ListBatchInferenceJobs", {"solutionVersionArn": "${version-personal}"}, full="batchInferenceJobs")
    do(CONTROL, "ListBatchSegmentJobs", {"solutionVersionArn": "${version-affinity}"}, full="batchSegmentJobs")
    do(CONTROL, "ListDatasetExportJobs", {"datasetArn": "${dataset-items}"}, full="datasetExportJobs")
    do(CONTROL, "CreateDataDeletionJob", {
        "jobName": "${run}", "datasetGroupArn": "${group}", "roleArn": role, "dataSource": {"dataLocation": location("forget.csv")}},
       save={"deletion": "dataDeletionJobArn"})
    found.append(describe("DataDeletionJob", "dataDeletionJob", "${deletion}", "COMPLETED"))
    do(CONTROL, "ListDataDeletionJobs", {"datasetGroupArn": "${group}"}, full="dataDeletionJobs")

    # Metric attribution, tags.
    metric = {"eventType": "View", "metricName": "views", "expression": "SAMPLECOUNT()"}
    create("MetricAttribution", "metricAttribution", "attribution", {
        "name": "${run}", "datasetGroupArn": "${group}", "metrics": [metric], "metricsOutputConfig": {"roleArn": role}})
    do(CONTROL, "UpdateMetricAttribution", {"metricAttributionArn": "${attribution}", "addMetrics": [
        {"eventType": "Purchase", "metricName": "revenue", "expression": "SUM(Items.PRICE)"}]})
    found.append(describe("MetricAttribution", "metricAttribution", "${attribution}"))
    do(CONTROL, "ListMetricAttributions", {"datasetGroupArn": "${group}"}, full="metricAttributions")
    do(CONTROL, "ListMetricAttributionMetrics", {"metricAttributionArn": "${attribution}"}, full="metrics")
    do(CONTROL, "TagResource", {"resourceArn": "${campaign-personal}", "tags": [{"tagKey": "stage", "tagValue": "test"}]})
    do(CONTROL, "ListTagsForResource", {"resourceArn": "${campaign-personal}"}, equal={"tags.0.tagKey": "stage"})
    do(CONTROL, "UntagResource", {"resourceArn": "${campaign-personal}", "tagKeys": ["stage"]})

    # A domain dataset group.
    create("DatasetGroup", "datasetGroup", "shop", {"name": "${run}-shop", "domain": "ECOMMERCE"})
    for name, kind, text, file in (
            ("interactions", "Interactions", schema("Interactions", USER, ITEM, TIME, TYPE), "interactions.csv"),
            ("items", "Items", schema("Items", ITEM, ("PRICE", "float"), ("CATEGORY_L1", "string"), ("CREATION_TIMESTAMP", "long")), "catalogue.csv")):
        do(CONTROL, "CreateSchema", {"name": f"${{run}}-shop-{name}", "schema": text, "domain": "ECOMMERCE"}, save={f"schema-shop-{name}": "schemaArn"})
        create("Dataset", "dataset", f"shop-{name}", {
            "name": f"${{run}}-shop-{name}", "datasetGroupArn": "${shop}", "datasetType": kind, "schemaArn": f"${{schema-shop-{name}}}"})
        do(CONTROL, "CreateDatasetImportJob", {
            "jobName": f"${{run}}-shop-{name}", "datasetArn": f"${{shop-{name}}}", "roleArn": role,
            "dataSource": {"dataLocation": location(file)}}, save={f"import-shop-{name}": "datasetImportJobArn"})
        found.append(describe("DatasetImportJob", "datasetImportJob", f"${{import-shop-{name}}}"))
    create("Recommender", "recommender", "recommender", {
        "name": "${run}", "datasetGroupArn": "${shop}", "recipeArn": "arn:aws:personalize:::recipe/aws-ecomm-recommended-for-you"})
    do(CONTROL, "ListRecommenders", {"datasetGroupArn": "${shop}"}, full="recommenders")
    do(RUNTIME, "GetRecommendations", {"recommenderArn": "${recommender}", "userId": "u5"}, full="itemList")
    do(CONTROL, "UpdateRecommender", {"recommenderArn": "${recommender}", "recommenderConfig": {"minRecommendationRequestsPerSecond": 2}})
    found.append(describe("Recommender", "recommender", "${recommender}", path="latestRecommenderUpdate.status"))
    do(CONTROL, "StopRecommender", {"recommenderArn": "${recommender}"})
    found.append(describe("Recommender", "recommender", "${recommender}", "INACTIVE"))
    do(CONTROL, "StartRecommender", {"recommenderArn": "${recommender}"})
    found.append(describe("Recommender", "recommender", "${recommender}"))

    # The end.
    def delete(kind, member, arn, wait=True):
        do(CONTROL, f"Delete{kind}", {f"{member}Arn": arn})
        if wait:
            found.append(gone(kind, member, arn))

    delete("Recommender", "recommender", "${recommender}")
    delete("MetricAttribution", "metricAttribution", "${attribution}")
    for name in ("personal", "ranking", "action"):
        delete("Campaign", "campaign", f"${{campaign-{name}}}")
    delete("Filter", "filter", "${filter}")
    delete("EventTracker", "eventTracker", "${tracker}")
    for name in recipes:
        delete("Solution", "solution", f"${{solution-{name}}}")
    for name in [*(f"dataset-{name}" for name in kinds), "shop-interactions", "shop-items"]:
        delete("Dataset", "dataset", f"${{{name}}}")
    for group in ("group", "shop"):
        delete("DatasetGroup", "datasetGroup", f"${{{group}}}")
    for name in [*SCHEMAS, "shop-interactions", "shop-items"]:
        delete("Schema", "schema", f"${{schema-{name}}}", wait=False)
    return found
