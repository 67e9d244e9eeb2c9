package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	invalidInput = "InvalidInputException"
	notFound     = "ResourceNotFoundException"
	exists       = "ResourceAlreadyExistsException"
	inUse        = "ResourceInUseException"
	tooManyTags  = "TooManyTagsException"
)

// operation is one of the control plane's with a good body, and what rules its members follow.
type operation struct {
	name, good string
	// nameMember is the member that names what is created.
	nameMember string
	// arns are members by the type of resource that they name.
	arns map[string]string
	// required members come beside the name and the ARNs.
	required []string
}

// operations are all that Penchant's control plane answers, but for lists.
func (s *badShop) operations() []operation {
	group := `"datasetGroupArn":"` + s.group.ARN + `"`
	one := func(name, member, kind, arn string) operation {
		return operation{name: name, good: `{"` + member + `":"` + arn + `"}`, arns: map[string]string{member: kind}}
	}
	return []operation{
		{name: "CreateDatasetGroup", good: `{"name":"new"}`, nameMember: "name"},
		{name: "CreateSchema", good: `{"name":"new","schema":` + quoted(badShopUsers) + `}`, nameMember: "name", required: []string{"schema"}},
		{name: "CreateDataset", good: `{"name":"new",` + group + `,"schemaArn":"` + s.schema + `","datasetType":"Interactions"}`, nameMember: "name",
			arns: map[string]string{"datasetGroupArn": "dataset-group", "schemaArn": "schema"}, required: []string{"datasetType"}},
		{name: "CreateDatasetImportJob", good: importBody("new", s.interactions, "shop.csv", ""), nameMember: "jobName",
			arns: map[string]string{"datasetArn": "dataset"}, required: []string{"dataSource"}},
		{name: "CreateEventTracker", good: `{"name":"new",` + group + `}`, nameMember: "name", arns: map[string]string{"datasetGroupArn": "dataset-group"}},
		{name: "CreateSolution", good: `{"name":"new",` + group + `,"recipeArn":"` + recipeARN + `aws-sims"}`, nameMember: "name",
			arns: map[string]string{"datasetGroupArn": "dataset-group", "recipeArn": "recipe"}},
		{name: "CreateSolutionVersion", good: `{"solutionArn":"` + s.solution + `"}`, arns: map[string]string{"solutionArn": "solution"}},
		{name: "CreateCampaign", good: `{"name":"new","solutionVersionArn":"` + s.version + `"}`, nameMember: "name",
			arns: map[string]string{"solutionVersionArn": "solution-version"}},
		{name: "UpdateDataset", good: `{"datasetArn":"` + s.interactions + `","schemaArn":"` + s.schema + `"}`,
			arns: map[string]string{"datasetArn": "dataset", "schemaArn": "schema"}},
		{name: "CreateFilter", good: `{"name":"new",` + group + `,"filterExpression":"EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (\"click\")"}`, nameMember: "name",
			arns: map[string]string{"datasetGroupArn": "dataset-group"}, required: []string{"filterExpression"}},
		one("DescribeFilter", "filterArn", "filter", accountARN+"filter/f"),
		one("DeleteFilter", "filterArn", "filter", accountARN+"filter/f"),
		{name: "CreateRecommender", good: `{"name":"new",` + group + `,"recipeArn":"` + recipeARN + `aws-sims"}`, nameMember: "name",
			arns: map[string]string{"datasetGroupArn": "dataset-group", "recipeArn": "recipe"}},
		{name: "UpdateRecommender", good: `{"recommenderArn":"` + accountARN + `recommender/r","recommenderConfig":{}}`,
			arns: map[string]string{"recommenderArn": "recommender"}, required: []string{"recommenderConfig"}},
		one("DescribeRecommender", "recommenderArn", "recommender", accountARN+"recommender/r"),
		one("StartRecommender", "recommenderArn", "recommender", accountARN+"recommender/r"),
		one("StopRecommender", "recommenderArn", "recommender", accountARN+"recommender/r"),
		one("DeleteRecommender", "recommenderArn", "recommender", accountARN+"recommender/r"),
		{name: "CreateMetricAttribution", nameMember: "name", arns: map[string]string{"datasetGroupArn": "dataset-group"}, required: []string{"metrics", "metricsOutputConfig"},
			good: `{"name":"new",` + group + `,"metrics":[],"metricsOutputConfig":{"roleArn":"arn:aws:iam::000000000000:role/r"}}`},
		one("UpdateMetricAttribution", "metricAttributionArn", "metric-attribution", accountARN+"metric-attribution/m"),
		one("DescribeMetricAttribution", "metricAttributionArn", "metric-attribution", accountARN+"metric-attribution/m"),
		one("DeleteMetricAttribution", "metricAttributionArn", "metric-attribution", accountARN+"metric-attribution/m"),
		one("UpdateSolution", "solutionArn", "solution", s.solution),
		one("UpdateCampaign", "campaignArn", "campaign", s.campaign),
		one("DescribeDatasetGroup", "datasetGroupArn", "dataset-group", s.group.ARN),
		one("DescribeSchema", "schemaArn", "schema", s.schema),
		one("DescribeDataset", "datasetArn", "dataset", s.interactions),
		one("DescribeDatasetImportJob", "datasetImportJobArn", "dataset-import-job", s.importJob),
		one("DescribeEventTracker", "eventTrackerArn", "event-tracker", s.tracker),
		one("DescribeSolution", "solutionArn", "solution", s.solution),
		one("DescribeSolutionVersion", "solutionVersionArn", "solution-version", s.version),
		one("GetSolutionMetrics", "solutionVersionArn", "solution-version", s.version),
		one("StopSolutionVersionCreation", "solutionVersionArn", "solution-version", s.version),
		one("DescribeCampaign", "campaignArn", "campaign", s.campaign),
		one("DescribeRecipe", "recipeArn", "recipe", recipeARN+"aws-sims"),
		one("DescribeAlgorithm", "algorithmArn", "algorithm", "arn:aws:personalize:::algorithm/aws-sims"),
		one("DescribeFeatureTransformation", "featureTransformationArn", "feature-transformation", "arn:aws:personalize:::feature-transformation/sims"),
		one("DeleteDatasetGroup", "datasetGroupArn", "dataset-group", s.group.ARN),
		one("DeleteSchema", "schemaArn", "schema", s.schema),
		one("DeleteDataset", "datasetArn", "dataset", s.interactions),
		one("DeleteEventTracker", "eventTrackerArn", "event-tracker", s.tracker),
		one("DeleteSolution", "solutionArn", "solution", s.solution),
		one("DeleteCampaign", "campaignArn", "campaign", s.campaign),
		one("ListTagsForResource", "resourceArn", "", s.campaign),
		{name: "TagResource", good: `{"resourceArn":"` + s.campaign + `","tags":[]}`, arns: map[string]string{"resourceArn": ""}, required: []string{"tags"}},
		{name: "UntagResource", good: `{"resourceArn":"` + s.campaign + `","tagKeys":[]}`, arns: map[string]string{"resourceArn": ""}, required: []string{"tagKeys"}},
	}
}

func (s *badShop) control() {
	var calls []refused
	for _, o := range s.operations() {
		calls = append(calls, o.badNames()...)
		calls = append(calls, s.badARNs(o)...)
		for _, member := range o.required {
			calls = append(calls,
				refused{o.name, with(o.good, member, ""), invalidInput, []string{"'" + member + "'", "must not be null"}},
				refused{o.name, with(o.good, member, "null"), invalidInput, []string{"'" + member + "'", "must not be null"}},
				refused{o.name, with(o.good, member, "7"), invalidInput, []string{"'" + member + "'", "number"}})
		}
	}
	s.check(calls)
	s.check(s.badLists())
	s.check(s.badMembers())
	s.check(s.badTags())
	s.goodLimits()
}

// badNames break the rule of names (§1.4), which is the same wherever something is named.
func (o operation) badNames() (calls []refused) {
	if o.nameMember == "" {
		return nil
	}
	for _, c := range []struct{ value, rule string }{
		{"", "must not be null"}, {"null", "must not be null"},
		{`""`, "greater than or equal to 1"}, {quoted(strings.Repeat("n", 64)), "less than or equal to 63"},
		{`"-new"`, "regular expression"}, {`"_new"`, "regular expression"}, {`"a b"`, "regular expression"}, {`"new\n"`, "regular expression"},
		{`"ne/w"`, "regular expression"}, {`"nëw"`, "regular expression"}, {`"new\u0000"`, "regular expression"},
		{"7", "number"}, {"true", "bool"}, {`["new"]`, "array"}, {`{"name":"new"}`, "object"},
	} {
		calls = append(calls, refused{o.name, with(o.good, o.nameMember, c.value), invalidInput, []string{"'" + o.nameMember + "'", c.rule}})
	}
	return calls
}

// badARNs are members that should name a resource and do not.
func (s *badShop) badARNs(o operation) (calls []refused) {
	for member, kind := range o.arns {
		optional := o.name == "CreateSolution" && member == "recipeArn"
		named := "'" + member + "'"
		bad := func(value, code string, mentions ...string) {
			calls = append(calls, refused{o.name, with(o.good, member, value), code, mentions})
		}
		if optional {
			bad("", invalidInput, "recipeArn is required")
		} else {
			bad("", invalidInput, named, "must not be null")
		}
		for _, value := range []string{`""`, `"shop"`, `"arn:aws:personalize"`, `"arn:aws:s3:::bucket"`, `"ARN:aws:personalize:us-east-1:000000000000:schema/s"`,
			`"arn:AWS:personalize:us-east-1:000000000000:schema/s"`, `"arn:aws:personalize:us-east-1:000000000000:"`, `"arn:aws:personalize:us-east-1\n:000000000000:schema/s"`} {
			bad(value, invalidInput, named, "regular expression")
		}
		bad(quoted(accountARN+"campaign/"+strings.Repeat("x", 257-len(accountARN+"campaign/"))), invalidInput, named, "less than or equal to 256")
		bad("7", invalidInput, named, "number")
		bad(`[]`, invalidInput, named, "array")
		// A resource of another type, and none of the right one.
		other := "metric-attribution/m" // which has no tags either
		if kind == "metric-attribution" {
			other = "filter/f"
		}
		bad(`"`+accountARN+other+`"`, invalidInput, member)
		bad(`"`+accountARN+`nonsense"`, invalidInput, member)
		bad(`"`+accountARN+`../../catalog/x"`, invalidInput, member)
		if kind != "" && kind != "solution-version" {
			account := accountARN
			if slices.Contains([]string{"recipe", "algorithm", "feature-transformation"}, kind) {
				account = "arn:aws:personalize:::"
			}
			absent := account + kind + "/absent"
			if kind == "dataset" {
				absent += "/ITEMS"
			}
			bad(`"`+absent+`"`, notFound, absent)
			bad(`"`+absent+`/../x\u0000"`, "", member)
		}
		if kind == "solution-version" {
			bad(`"`+s.solution+`/00000000"`, notFound, s.solution+"/00000000")
			bad(`"`+s.solution+`"`, notFound, s.solution)
		}
	}
	// Whether such an ARN is malformed or of nothing is the type's matter; it is one of both.
	return slices.DeleteFunc(calls, func(c refused) bool { return c.code == "" })
}

// badLists break what all lists have in common.
func (s *badShop) badLists() (calls []refused) {
	foreign, _ := s.call("ListSchemas", `{"maxResults":1}`).members()["nextToken"].(string)
	if foreign == "" {
		s.t.Fatal("a page of one schema has no token")
	}
	for _, name := range []string{"ListDatasetGroups", "ListSchemas", "ListDatasets", "ListDatasetImportJobs", "ListEventTrackers", "ListRecipes",
		"ListSolutions", "ListSolutionVersions", "ListCampaigns", "ListFilters", "ListRecommenders", "ListMetricAttributions", "ListMetricAttributionMetrics"} {
		for _, c := range []struct {
			members, code string
			mentions      []string
		}{
			{`"maxResults":0`, invalidInput, []string{"'maxResults'", "greater than or equal to 1"}},
			{`"maxResults":-1`, invalidInput, []string{"'maxResults'", "greater than or equal to 1"}},
			{`"maxResults":101`, invalidInput, []string{"'maxResults'", "less than or equal to 100"}},
			{`"maxResults":1.5`, invalidInput, []string{"'maxResults'", "number"}},
			{`"maxResults":1e400`, invalidInput, []string{"'maxResults'", "number"}},
			{`"maxResults":9223372036854775808`, invalidInput, []string{"'maxResults'", "number"}},
			{`"maxResults":"10"`, invalidInput, []string{"'maxResults'", "string"}},
			{`"nextToken":7`, invalidInput, []string{"'nextToken'", "number"}},
			{`"nextToken":` + quoted(strings.Repeat("t", 1501)), "InvalidNextTokenException", []string{"nextToken"}},
			{`"nextToken":"AAAA"`, "InvalidNextTokenException", []string{"nextToken"}},
			{`"nextToken":""`, "InvalidNextTokenException", []string{"nextToken"}},
			{`"nextToken":"` + foreign[:len(foreign)-1] + `"`, "InvalidNextTokenException", []string{"nextToken"}},
			{`"nextToken":"` + foreign + `="`, "InvalidNextTokenException", []string{"nextToken"}},
			{`"nextToken":"` + foreign + `"`, "InvalidNextTokenException", []string{"nextToken"}},
		} {
			if name == "ListSchemas" && strings.HasSuffix(c.members, `"`+foreign+`"`) {
				continue // its own token
			}
			calls = append(calls, refused{name, "{" + c.members + "}", c.code, c.mentions})
		}
	}
	for member, names := range map[string][]string{
		"datasetGroupArn": {"ListDatasets", "ListEventTrackers", "ListSolutions", "ListFilters", "ListRecommenders", "ListMetricAttributions"}, "datasetArn": {"ListDatasetImportJobs"},
		"solutionArn": {"ListSolutionVersions", "ListCampaigns"},
	} {
		for _, name := range names {
			calls = append(calls, refused{name, `{"` + member + `":"x"}`, invalidInput, []string{"'" + member + "'", "regular expression"}},
				refused{name, `{"` + member + `":[1]}`, invalidInput, []string{"'" + member + "'", "array"}})
		}
	}
	return append(calls,
		refused{"ListRecipes", `{"recipeProvider":"MINE"}`, invalidInput, []string{"'recipeProvider'", "[SERVICE]"}},
		refused{"ListRecipes", `{"domain":"GAMES"}`, invalidInput, []string{"'domain'", "[ECOMMERCE, VIDEO_ON_DEMAND]"}},
		refused{"ListSolutionVersions", `{"solutionArn":"` + accountARN + `solution/absent"}`, notFound, []string{"solution/absent"}},
	)
}

// badMembers are the rules of single members.
func (s *badShop) badMembers() (calls []refused) {
	good := map[string]string{}
	for _, o := range s.operations() {
		good[o.name] = o.good
	}
	bad := func(operation, member, value, code string, mentions ...string) {
		calls = append(calls, refused{operation, with(good[operation], member, value), code, mentions})
	}
	const role, key = `"arn:aws:iam::000000000000:role/r"`, `"arn:aws:kms:us-east-1:000000000000:key/k"`

	bad("CreateDatasetGroup", "name", `"shop"`, exists, "Another resource with Arn "+s.group.ARN+" already exists.")
	bad("CreateDatasetGroup", "domain", `"GAMES"`, invalidInput, "'domain'", "[ECOMMERCE, VIDEO_ON_DEMAND]")
	bad("CreateDatasetGroup", "domain", `"ecommerce"`, invalidInput, "'domain'")
	bad("CreateDatasetGroup", "roleArn", role, invalidInput, "roleArn", "kmsKeyArn")
	bad("CreateDatasetGroup", "kmsKeyArn", key, invalidInput, "roleArn", "kmsKeyArn")
	bad("CreateDatasetGroup", "roleArn", `"arn:aws:iam::1:role/r"`, invalidInput, "'roleArn'", "regular expression")
	bad("CreateDatasetGroup", "roleArn", `"arn:aws:iam::000000000000:user/r"`, invalidInput, "'roleArn'", "regular expression")
	bad("CreateDatasetGroup", "roleArn", quoted("arn:aws:iam::000000000000:role/"+strings.Repeat("r", 226)), invalidInput, "'roleArn'", "less than or equal to 256")
	bad("CreateDatasetGroup", "kmsKeyArn", `"key"`, invalidInput, "'kmsKeyArn'", "regular expression")
	bad("CreateDatasetGroup", "kmsKeyArn", quoted("arn:aws:kms:us-east-1:000000000000:key/"+strings.Repeat("k", 2010)), invalidInput, "'kmsKeyArn'", "less than or equal to 2048")

	bad("CreateDataset", "datasetType", `"Bogus"`, invalidInput, "Bogus", "Interactions, Items, Users")
	bad("CreateDataset", "datasetType", `"Items2"`, invalidInput, "'datasetType'", "regular expression")
	bad("CreateDataset", "datasetType", `""`, invalidInput, "'datasetType'")
	bad("CreateDataset", "datasetType", quoted(strings.Repeat("x", 257)), invalidInput, "'datasetType'", "less than or equal to 256")
	bad("CreateDataset", "datasetType", `"interactions"`, exists, s.interactions)
	bad("CreateDataset", "datasetType", `"Actions"`, invalidInput, "Interactions, not Actions")
	calls = append(calls, refused{"CreateDataset", with(good["CreateDataset"], "datasetGroupArn", `"`+s.domainGroup+`"`), invalidInput, []string{"domain", "ECOMMERCE"}})

	for _, location := range []string{"s3://uploads", "s3://UP/x.csv", "s3://u/x.csv", "https://uploads/x.csv", "http://uploads/x.csv",
		"s3:///x.csv", "s3://-uploads/x.csv", "s3://up loads/x.csv", "s3://uploads/x\\u0000.csv", "s3://uploads//x.csv"} {
		bad("CreateDatasetImportJob", "dataSource", `{"dataLocation":"`+location+`"}`, invalidInput, "Invalid Data location")
	}
	for _, location := range []string{"", "uploads/x.csv", "file:///etc/passwd", "s3:uploads/x.csv", "S3://uploads/x.csv", "s3://uploads\\n/x.csv", "s3://uploads/x\\n.csv"} {
		bad("CreateDatasetImportJob", "dataSource", `{"dataLocation":"`+location+`"}`, invalidInput, "'dataSource.dataLocation'", "regular expression")
	}
	bad("CreateDatasetImportJob", "dataSource", `{"dataLocation":"s3://uploads/`+strings.Repeat("x", 244)+`"}`, invalidInput, "'dataSource.dataLocation'", "less than or equal to 256")
	bad("CreateDatasetImportJob", "dataSource", `{"dataLocation":7}`, invalidInput, "'dataSource.dataLocation'", "number")
	bad("CreateDatasetImportJob", "dataSource", `{}`, invalidInput, "Invalid Data location")
	bad("CreateDatasetImportJob", "dataSource", `"s3://uploads/x.csv"`, invalidInput, "'dataSource'", "string")
	bad("CreateDatasetImportJob", "roleArn", `"admin"`, invalidInput, "'roleArn'", "regular expression")
	bad("CreateDatasetImportJob", "importMode", `"SOME"`, invalidInput, "'importMode'", "[FULL, INCREMENTAL]")
	bad("CreateDatasetImportJob", "importMode", `"full"`, invalidInput, "'importMode'")
	bad("CreateDatasetImportJob", "publishAttributionMetricsToS3", `"yes"`, invalidInput, "'publishAttributionMetricsToS3'", "string")
	bad("CreateDatasetImportJob", "jobName", `"shop"`, exists, s.importJob)
	calls = append(calls, refused{"CreateDatasetImportJob", importBody("new", s.items, "shop.csv", `,"importMode":"INCREMENTAL"`), invalidInput, []string{"importMode", "INCREMENTAL"}})

	bad("CreateEventTracker", "name", `"new"`, exists, s.tracker)
	bad("CreateSolution", "name", `"aws-sims"`, exists, "solution/aws-sims")
	bad("CreateSolution", "performHPO", `"true"`, invalidInput, "'performHPO'", "string")
	bad("CreateSolution", "performAutoML", `true`, invalidInput, "recipeArn", "performAutoML")
	bad("CreateSolution", "performIncrementalUpdate", `true`, invalidInput, "performIncrementalUpdate")
	bad("CreateSolution", "eventType", quoted(strings.Repeat("e", 257)), invalidInput, "'eventType'", "less than or equal to 256")
	many := func(n int) string {
		pairs := make([]string, n)
		for i := range pairs {
			pairs[i] = fmt.Sprintf(`"p%d":"1"`, i)
		}
		return "{" + strings.Join(pairs, ",") + "}"
	}
	for config, mentions := range map[string][]string{
		`{"algorithmHyperParameters":{"bogus":"1"}}`:                                                                 {"bogus"},
		`{"algorithmHyperParameters":{"min_cointeraction_count":"-1"}}`:                                              {"min_cointeraction_count"},
		`{"algorithmHyperParameters":{"min_cointeraction_count":"11"}}`:                                              {"min_cointeraction_count"},
		`{"algorithmHyperParameters":{"min_cointeraction_count":"NaN"}}`:                                             {"min_cointeraction_count"},
		`{"algorithmHyperParameters":{"min_cointeraction_count":"1e400"}}`:                                           {"min_cointeraction_count"},
		`{"algorithmHyperParameters":{"min_cointeraction_count":3}}`:                                                 {"'solutionConfig.algorithmHyperParameters'", "number"},
		`{"algorithmHyperParameters":` + many(101) + `}`:                                                             {"'solutionConfig.algorithmHyperParameters'", "less than or equal to 100"},
		`{"algorithmHyperParameters":{"` + strings.Repeat("k", 257) + `":"1"}}`:                                      {"'solutionConfig.algorithmHyperParameters.key'", "less than or equal to 256"},
		`{"algorithmHyperParameters":{"k":"` + strings.Repeat("v", 1001) + `"}}`:                                     {"'solutionConfig.algorithmHyperParameters.k", "less than or equal to 1000"},
		`{"featureTransformationParameters":` + many(101) + `}`:                                                      {"'solutionConfig.featureTransformationParameters'", "less than or equal to 100"},
		`{"eventValueThreshold":"much"}`:                                                                             {"eventValueThreshold", "much"},
		`{"eventValueThreshold":"NaN"}`:                                                                              {"eventValueThreshold", "NaN"},
		`{"eventValueThreshold":1}`:                                                                                  {"'solutionConfig.eventValueThreshold'", "number"},
		`{"eventValueThreshold":"` + strings.Repeat("1", 257) + `"}`:                                                 {"'solutionConfig.eventValueThreshold'", "less than or equal to 256"},
		`{"autoTrainingConfig":{"schedulingExpression":"rate(0 days)"}}`:                                             {"schedulingExpression", "rate(0 days)"},
		`{"autoTrainingConfig":{"schedulingExpression":"rate(31 days)"}}`:                                            {"schedulingExpression", "rate(31 days)"},
		`{"autoTrainingConfig":{"schedulingExpression":"cron(0 0)"}}`:                                                {"'solutionConfig.autoTrainingConfig.schedulingExpression'", "regular expression"},
		`{"autoTrainingConfig":{"schedulingExpression":"rate(9999999 days)"}}`:                                       {"'solutionConfig.autoTrainingConfig.schedulingExpression'", "less than or equal to 16"},
		`{"hpoConfig":{"hpoResourceConfig":{"maxNumberOfTrainingJobs":"41"}}}`:                                       {"maxNumberOfTrainingJobs", "41"},
		`{"hpoConfig":{"hpoResourceConfig":{"maxNumberOfTrainingJobs":"0"}}}`:                                        {"maxNumberOfTrainingJobs", "1 to 40"},
		`{"hpoConfig":{"hpoResourceConfig":{"maxParallelTrainingJobs":"11"}}}`:                                       {"maxParallelTrainingJobs", "1 to 10"},
		`{"hpoConfig":{"algorithmHyperParameterRanges":{"integerHyperParameterRanges":[{"name":"x"}]}}}`:             {`"x"`},
		`{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"HUGE"}}`:                          {"objectiveSensitivity'", "[LOW, MEDIUM, HIGH, OFF]"},
		`{"optimizationObjective":{"itemAttribute":"PRICE","objectiveSensitivity":"LOW"}}`:                           {"optimizationObjective", "aws-sims"},
		`{"trainingDataConfig":{"excludedDatasetColumns":{"Bogus":["A"]}}}`:                                          {"Bogus"},
		`{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["A-B"]}}}`:                                        {"excludedDatasetColumns", "regular expression"},
		`{"trainingDataConfig":{"excludedDatasetColumns":{"A":[],"B":[],"C":[],"D":[]}}}`:                            {"excludedDatasetColumns", "less than or equal to 3"},
		`{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["A"]},"includedDatasetColumns":{"ITEMS":["B"]}}}`: {"not both"},
		`[]`:     {"'solutionConfig'", "array"},
		`"none"`: {"'solutionConfig'", "string"},
	} {
		bad("CreateSolution", "solutionConfig", config, invalidInput, mentions...)
	}
	bad("UpdateSolution", "solutionUpdateConfig", `{"autoTrainingConfig":{"schedulingExpression":"rate(31 days)"}}`, invalidInput, "schedulingExpression", "rate(31 days)")
	bad("UpdateSolution", "performAutoTraining", `1`, invalidInput, "'performAutoTraining'", "number")

	bad("CreateSolutionVersion", "trainingMode", `"QUICK"`, invalidInput, "'trainingMode'", "[FULL, UPDATE, AUTOTRAIN]")
	bad("CreateSolutionVersion", "trainingMode", `"AUTOTRAIN"`, invalidInput, "AUTOTRAIN")
	bad("CreateSolutionVersion", "name", `"-x"`, invalidInput, "'name'", "regular expression")
	calls = append(calls, refused{"CreateSolutionVersion", `{"solutionArn":"` + accountARN + `solution/aws-sims","trainingMode":"UPDATE"}`, invalidInput, []string{"UPDATE", "aws-sims"}})
	calls = append(calls, refused{"StopSolutionVersionCreation", good["StopSolutionVersionCreation"], inUse, []string{"ACTIVE"}})

	bad("CreateCampaign", "name", `"aws-sims"`, exists, "campaign/aws-sims")
	bad("CreateCampaign", "minProvisionedTPS", `0`, invalidInput, "'minProvisionedTPS'", "greater than or equal to 1")
	bad("CreateCampaign", "minProvisionedTPS", `-9223372036854775808`, invalidInput, "'minProvisionedTPS'")
	bad("CreateCampaign", "minProvisionedTPS", `1.5`, invalidInput, "'minProvisionedTPS'", "number")
	for config, mentions := range map[string][]string{
		`{"itemExplorationConfig":{"explorationWeight":"1.01"}}`:       {"explorationWeight", "from 0 to 1"},
		`{"itemExplorationConfig":{"explorationWeight":"-0.1"}}`:       {"explorationWeight", "from 0 to 1"},
		`{"itemExplorationConfig":{"explorationWeight":"NaN"}}`:        {"explorationWeight", "NaN"},
		`{"itemExplorationConfig":{"explorationWeight":0.5}}`:          {"'campaignConfig.itemExplorationConfig'", "number"},
		`{"itemExplorationConfig":{"explorationItemAgeCutOff":"0"}}`:   {"explorationItemAgeCutOff", "above 0"},
		`{"itemExplorationConfig":{"explorationItemAgeCutOff":"Inf"}}`: {"explorationItemAgeCutOff", "Inf"},
		`{"itemExplorationConfig":{"diversityWeight":"1.01"}}`:         {"diversityWeight", "from 0 to 1"},
		`{"itemExplorationConfig":{"diversityWeight":"Inf"}}`:          {"diversityWeight", "Inf"},
		`{"itemExplorationConfig":{"diversityColumn":""}}`:             {"diversityColumn", "empty"},
		`{"itemExplorationConfig":{"bogus":"0"}}`:                      {"bogus"},
		`{"syncWithLatestSolutionVersion":true}`:                       {"syncWithLatestSolutionVersion", "$LATEST"},
		`{"enableMetadataWithRecommendations":"yes"}`:                  {"'campaignConfig.enableMetadataWithRecommendations'", "string"},
	} {
		bad("CreateCampaign", "campaignConfig", config, invalidInput, mentions...)
		bad("UpdateCampaign", "campaignConfig", config, invalidInput, mentions...)
	}
	bad("CreateCampaign", "solutionVersionArn", `"`+s.solution+`/$LATEST"`, invalidInput, "syncWithLatestSolutionVersion")
	bad("UpdateCampaign", "minProvisionedTPS", `0`, invalidInput, "'minProvisionedTPS'")
	bad("UpdateCampaign", "solutionVersionArn", `"x"`, invalidInput, "'solutionVersionArn'", "regular expression")

	// What others are built upon cannot go.
	for _, operation := range []string{"DeleteDatasetGroup", "DeleteSchema", "DeleteSolution"} {
		calls = append(calls, refused{operation, good[operation], inUse, []string{"cannot be deleted"}})
	}
	return calls
}

func manyTags(n int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf(`{"tagKey":"k%d","tagValue":""}`, i)
	}
	return "[" + strings.Join(tags, ",") + "]"
}

// badTags break the rules of tags (§12), which are the same wherever tags are given.
func (s *badShop) badTags() (calls []refused) {
	for _, o := range s.operations() {
		if !strings.HasPrefix(o.name, "Create") && o.name != "TagResource" || o.name == "CreateSchema" || o.name == "CreateMetricAttribution" {
			continue
		}
		for tags, mentions := range map[string][]string{
			`[{"tagKey":"","tagValue":"v"}]`:                                 {"tags.1.member.tagKey", "greater than or equal to 1"},
			`[{"tagKey":"` + strings.Repeat("k", 129) + `","tagValue":"v"}]`: {"tags.1.member.tagKey", "less than or equal to 128"},
			`[{"tagKey":"k","tagValue":"` + strings.Repeat("v", 257) + `"}]`: {"tags.1.member.tagValue", "less than or equal to 256"},
			`[{"tagKey":"k*","tagValue":"v"}]`:                               {"tags.1.member.tagKey", "regular expression"},
			`[{"tagKey":"k","tagValue":"v\n"}]`:                              {"tags.1.member.tagValue", "regular expression"},
			`[{"tagKey":"k"}]`:                                               {"tags.1.member.tagValue", "must not be null"},
			`[{"tagValue":"v"}]`:                                             {"tags.1.member.tagKey", "must not be null"},
			`[{"tagKey":"aws:k","tagValue":"v"}]`:                            {"aws:"},
			`[{"tagKey":"AWS:k","tagValue":"v"}]`:                            {"aws:"},
			`[{"tagKey":"k","tagValue":"1"},{"tagKey":"k","tagValue":"2"}]`:  {"unique"},
			`{"k":"v"}`:   {"'tags'", "object"},
			`["k"]`:       {"'tags'", "string"},
			manyTags(201): {"'tags'", "less than or equal to 200"},
			`[null]`:      {"tags.1.member.tagKey", "must not be null"},
		} {
			calls = append(calls, refused{o.name, with(o.good, "tags", tags), invalidInput, mentions})
		}
		switch o.name {
		case "CreateDataset", "CreateEventTracker": // what they would create exists
		default:
			calls = append(calls, refused{o.name, with(o.good, "tags", manyTags(51)), tooManyTags, []string{"50"}})
		}
	}
	keys := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprint("k", i)
		}
		encoded, _ := json.Marshal(list) // strings always encode
		return string(encoded)
	}
	untag := `{"resourceArn":"` + s.campaign + `","tagKeys":[]}`
	return append(calls,
		refused{"UntagResource", with(untag, "tagKeys", keys(201)), invalidInput, []string{"'tagKeys'", "less than or equal to 200"}},
		refused{"UntagResource", with(untag, "tagKeys", keys(51)), "TooManyTagKeysException", []string{"tag keys"}},
		refused{"UntagResource", with(untag, "tagKeys", `[""]`), invalidInput, []string{"tagKeys.1.member", "greater than or equal to 1"}},
		refused{"UntagResource", with(untag, "tagKeys", `["*"]`), invalidInput, []string{"tagKeys.1.member", "regular expression"}},
		refused{"TagResource", `{"resourceArn":"` + s.schema + `","tags":[]}`, invalidInput, []string{"resourceArn", "tags"}},
		refused{"TagResource", `{"resourceArn":"` + accountARN + `solution/absent","tags":[]}`, notFound, []string{"solution/absent"}},
	)
}

// goodLimits stand on the right side of the limits above.
func (s *badShop) goodLimits() {
	longest := strings.Repeat("n", 62)
	s.checkAccepted([]accepted{
		{operation: "CreateDatasetGroup", body: `{"name":"` + longest + `1"}`},
		{operation: "CreateDatasetGroup", body: `{"name":"g"}`},
		{operation: "CreateDatasetGroup", body: `{"name":"9-_","roleArn":"arn:aws-cn:iam::000000000000:role/` + strings.Repeat("r", 222) + `","kmsKeyArn":"arn:aws:kms:x:000000000000:key/` + strings.Repeat("k", 2017) + `"}`},
		{operation: "CreateDatasetGroup", body: `{"name":"tagged","tags":` + manyTags(50) + `}`},
		{operation: "CreateDatasetGroup", body: `{"name":"tagged2","tags":[{"tagKey":"` + strings.Repeat("é", 128) + `","tagValue":"` + strings.Repeat("v", 256) + `"}]}`},
		{operation: "CreateDatasetGroup", body: `{"name":"unknown-members","no":{"such":["member"]},"roleArn":null,"domain":null,"tags":null}`},
		{operation: "CreateSolution", body: `{"name":"` + longest + `2","datasetGroupArn":"` + s.group.ARN + `","recipeArn":"` + recipeARN + `aws-sims","performAutoTraining":false,
			"solutionConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(30 days)"},"algorithmHyperParameters":{"min_cointeraction_count":"10"},"eventValueThreshold":"0.5"}}`},
		{operation: "CreateCampaign", body: `{"name":"` + longest + `3","solutionVersionArn":"` + s.version + `","minProvisionedTPS":1,"campaignConfig":{"itemExplorationConfig":{"explorationWeight":"1","explorationItemAgeCutOff":"0.1"}}}`},
		{operation: "CreateDatasetImportJob", body: importBody(longest+"4", s.interactions, "shop.csv", `,"importMode":"INCREMENTAL"`)},
		{operation: "ListSchemas", body: `{"maxResults":1}`},
		{operation: "ListSchemas", body: `{"maxResults":100}`},
		{operation: "ListDatasets", body: `{"datasetGroupArn":"` + accountARN + `dataset-group/absent"}`},
		{operation: "ListSchemas", body: ``},
		{operation: "ListSchemas", body: ` { } `},
		{operation: "TagResource", body: `{"resourceArn":"` + s.campaign + `","tags":` + manyTags(50) + `}`},
		{operation: "UntagResource", body: `{"resourceArn":"` + s.campaign + `","tagKeys":["k1","absent"]}`},
	})
	s.check([]refused{
		{"TagResource", `{"resourceArn":"` + s.campaign + `","tags":[{"tagKey":"x","tagValue":""},{"tagKey":"y","tagValue":""}]}`, tooManyTags, []string{"50"}},
	})
}
