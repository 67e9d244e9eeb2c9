package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/testfile"
)

// functions are small handlers of the kind that AWS's public samples for Personalize bring along: each creates what is missing, looks at it,
// and raises ResourcePending until it is ACTIVE.
type functions struct {
	*httptest.Server
	i *installation

	mu     sync.Mutex
	calls  map[string]int
	failed string // the function that raises ResourceFailed
}

// raised is an error of a function, by the name of its type.
type raised struct{ kind, message string }

func (r raised) Error() string { return r.message }

func serveFunctions(t *testing.T) *functions {
	f := &functions{calls: map[string]int{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var event map[string]any
		if err := json.Unmarshal(body, &event); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := f.call(path.Base(r.URL.Path), event)
		var is raised
		if errors.As(err, &is) {
			// As Lambda has it, and its runtime for Python.
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			answer = map[string]any{"errorMessage": is.message, "errorType": is.kind, "stackTrace": []string{"  File \"/var/task/app.py\""}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(f.Close)
	return f
}

// endpoints are what --functions says.
func (f *functions) endpoints(names ...string) map[string]string {
	endpoints := map[string]string{}
	for _, name := range names {
		endpoints[name] = f.URL + "/" + name
	}
	return endpoints
}

func (f *functions) call(function string, event map[string]any) (any, error) {
	f.mu.Lock()
	f.calls[function]++
	failed := f.failed == function
	f.mu.Unlock()
	if failed {
		return nil, raised{"ResourceFailed", "it is CREATE FAILED"}
	}
	text := func(name string) *string { s, _ := event[name].(string); return &s }
	switch function {
	case "CreateDatasetGroup":
		arn := personalizeARN + "dataset-group/" + *text("name")
		_, err := f.i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: text("name")})
		return f.settled(arn, err, func() (*string, error) {
			d, err := f.i.DescribeDatasetGroup(&personalize.DescribeDatasetGroupInput{DatasetGroupArn: &arn})
			if err != nil {
				return nil, err
			}
			return d.DatasetGroup.Status, nil
		})
	case "CreateDataset":
		schema := personalizeARN + "schema/" + *text("name")
		if _, err := f.i.CreateSchema(&personalize.CreateSchemaInput{Name: text("name"), Schema: text("schema")}); err != nil && !alreadyThere(err) {
			return nil, err
		}
		arn := strings.Replace(*text("datasetGroupArn"), ":dataset-group/", ":dataset/", 1) + "/" + strings.ToUpper(*text("type"))
		_, err := f.i.CreateDataset(&personalize.CreateDatasetInput{Name: text("name"), DatasetType: text("type"), DatasetGroupArn: text("datasetGroupArn"), SchemaArn: &schema})
		return f.settled(arn, err, func() (*string, error) {
			d, err := f.i.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: &arn})
			if err != nil {
				return nil, err
			}
			return d.Dataset.Status, nil
		})
	case "ImportData":
		arn := personalizeARN + "dataset-import-job/" + *text("jobName")
		_, err := f.i.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
			JobName: text("jobName"), DatasetArn: text("datasetArn"), RoleArn: aws.String(roleARN), DataSource: &personalize.DataSource{DataLocation: text("location")},
		})
		return f.settled(arn, err, func() (*string, error) {
			d, err := f.i.DescribeDatasetImportJob(&personalize.DescribeDatasetImportJobInput{DatasetImportJobArn: &arn})
			if err != nil {
				return nil, err
			}
			return d.DatasetImportJob.Status, nil
		})
	case "CreateSolution":
		arn := personalizeARN + "solution/" + *text("name")
		_, err := f.i.CreateSolution(&personalize.CreateSolutionInput{Name: text("name"), DatasetGroupArn: text("datasetGroupArn"), RecipeArn: text("recipeArn")})
		return f.settled(arn, err, func() (*string, error) {
			d, err := f.i.DescribeSolution(&personalize.DescribeSolutionInput{SolutionArn: &arn})
			if err != nil {
				return nil, err
			}
			return d.Solution.Status, nil
		})
	case "CreateSolutionVersion":
		made, err := f.i.CreateSolutionVersion(&personalize.CreateSolutionVersionInput{SolutionArn: text("solutionArn")})
		if err != nil {
			return nil, err
		}
		return map[string]any{"solutionVersionArn": made.SolutionVersionArn}, nil
	case "WaitSolutionVersion":
		d, err := f.i.DescribeSolutionVersion(&personalize.DescribeSolutionVersionInput{SolutionVersionArn: text("solutionVersionArn")})
		if err != nil {
			return nil, raisedBy(err)
		}
		return f.settled(*text("solutionVersionArn"), nil, func() (*string, error) { return d.SolutionVersion.Status, nil })
	case "CreateCampaign":
		arn := personalizeARN + "campaign/" + *text("name")
		_, err := f.i.CreateCampaign(&personalize.CreateCampaignInput{Name: text("name"), SolutionVersionArn: text("solutionVersionArn")})
		return f.settled(arn, err, func() (*string, error) { return f.i.describeCampaign(arn).Status, nil })
	case "ListCampaigns":
		d, err := f.i.ListCampaigns(&personalize.ListCampaignsInput{})
		if err != nil {
			return nil, err
		}
		var arns []*string
		for _, c := range d.Campaigns {
			arns = append(arns, c.CampaignArn)
		}
		return arns, nil
	case "DeleteCampaign":
		_, err := f.i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: text("arn")})
		return map[string]any{}, err
	case "WaitDeleteCampaign":
		if _, err := f.i.DescribeCampaign(&personalize.DescribeCampaignInput{CampaignArn: text("arn")}); err != nil {
			return nil, raisedBy(err) // gone: the definition catches it
		}
		return nil, raised{"ResourcePending", "it is being deleted"}
	}
	return map[string]any{"notified": event}, nil // Notify
}

const personalizeARN = "arn:aws:personalize:us-east-1:000000000000:"

// raisedBy is what a function in Python makes of a refusal that it does not handle.
func raisedBy(err error) error {
	var refusal awserr.Error
	if errors.As(err, &refusal) {
		return raised{refusal.Code(), refusal.Message()}
	}
	return err
}

func alreadyThere(err error) bool {
	var refusal awserr.Error
	return errors.As(err, &refusal) && refusal.Code() == personalize.ErrCodeResourceAlreadyExistsException
}

// settled is the answer of a function that creates: at first what it made is always pending.
func (f *functions) settled(arn string, created error, status func() (*string, error)) (any, error) {
	if created == nil && !strings.Contains(arn, "solution/") {
		return nil, raised{"ResourcePending", arn + " was made just now"}
	}
	if created != nil && !alreadyThere(created) {
		return nil, created
	}
	is, err := status()
	switch {
	case err != nil:
		return nil, err
	case strings.HasSuffix(*is, "FAILED"):
		return nil, raised{"ResourceFailed", arn + " is " + *is}
	case *is != "ACTIVE":
		return nil, raised{"ResourcePending", arn + " is " + *is}
	}
	return map[string]any{"arn": arn}, nil
}

// definition returns a state machine of testdata/stepfunctions.
func definition(name string) string { return string(testfile.Read("stepfunctions/" + name + ".json")) }

const sampleInput = `{"datasetGroup":{"name":"sample"},"datasets":[
	{"name":"sample-interactions","type":"Interactions","location":"s3://data/i.csv","schema":%s},{"name":"sample-users","type":"Users","location":"s3://data/u.csv","schema":%s}],
	"solutions":[{"name":"sample-sims","recipeArn":"arn:aws:personalize:::recipe/aws-sims","campaigns":[{"name":"sample-campaign"}]},
		{"name":"sample-popular","recipeArn":"arn:aws:personalize:::recipe/aws-popularity-count","campaigns":[]}]}`

func quoted(t *testing.T, text string) string { return string(must(json.Marshal(text))(t)) }

// TestDefinitionsOfLambdaFunctionsRun: definitions of the shape of AWS's public samples run as they are, against small handlers.
func TestDefinitionsOfLambdaFunctionsRun(t *testing.T) {
	t.Parallel()
	f := serveFunctions(t)
	i := installWith(t, Config{Options: Options{Functions: f.endpoints("CreateDatasetGroup", "CreateDataset", "ImportData", "CreateSolution", "CreateSolutionVersion",
		"WaitSolutionVersion", "CreateCampaign", "ListCampaigns", "DeleteCampaign", "WaitDeleteCampaign", "Notify")}})
	f.i = i
	i.retrain(func(string) float64 { return 0.2 })
	s := i.states()
	input := fmt.Sprintf(sampleInput, quoted(t, filmSchema), quoted(t, ageSchema))
	machine := s.create("sample", definition("samples-deploy"))
	d := s.ended(s.start(machine, input))
	if *d.Status != "SUCCEEDED" || !strings.Contains(*d.Output, `"campaigns":[[{"arn":"`+personalizeARN+`campaign/sample-campaign"}],[]]`) {
		t.Fatalf("got %v", d)
	}
	want := map[string]int{"dataset-group": 1, "schema": 2, "dataset": 2, "dataset-import-job": 2, "solution": 2, "solution-version": 2, "campaign": 1}
	if got := countKinds(i.resources()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the catalog holds %v, want %v", got, want)
	}
	for _, function := range []string{"CreateDatasetGroup", "CreateDataset", "ImportData", "CreateCampaign"} {
		if f.calls[function] < 2 {
			t.Errorf("%s was called %d times, and was pending the first time", function, f.calls[function])
		}
	}

	f.mu.Lock()
	f.failed = "ImportData"
	f.mu.Unlock()
	failed := s.ended(s.start(machine, input))
	if aws.StringValue(failed.Error) != "DeploymentFailed" {
		t.Errorf("got %v", failed)
	}
	history := strings.Fields(s.history(*failed.ExecutionArn))
	if n := len(slices.DeleteFunc(history, func(e string) bool { return e != "MapStateFailed" })); n != 1 {
		t.Errorf("%d Map states failed", n)
	}

	if d := s.ended(s.start(s.create("deletion", definition("samples-delete")), `{}`)); *d.Status != "SUCCEEDED" {
		t.Fatalf("got %v", d)
	}
	if got := countKinds(i.resources())["campaign"]; got != 0 {
		t.Errorf("%d campaigns are left", got)
	}
}

// TestDefinitionsOfTheCDKRun: lambda:invoke as the CDK writes it, with payloads, selectors, choices by presence, and errors as JSON texts.
func TestDefinitionsOfTheCDKRun(t *testing.T) {
	t.Parallel()
	f := serveFunctions(t)
	i := installWith(t, Config{Options: Options{Functions: f.endpoints("CreateDatasetGroup", "CreateDataset", "Notify")}})
	f.i = i
	s := i.states()
	machine := s.create("cdk", definition("samples-cdk"))
	run := func(datasets string) string {
		d := s.ended(s.start(machine, `{"name":"sample","datasets":[`+datasets+`]}`))
		if *d.Status != "SUCCEEDED" {
			t.Fatalf("got %s: %s", aws.StringValue(d.Error), aws.StringValue(d.Cause))
		}
		return *d.Output
	}
	if got := run(""); got != `{}` {
		t.Errorf("without datasets: %s", got)
	}
	dataset := `{"type":"Interactions","schema":` + quoted(t, filmSchema) + `}`
	if got := run(dataset); got != `[{"arn":"`+personalizeARN+`dataset/sample/INTERACTIONS"}]` {
		t.Errorf("got %s", got)
	}
	f.mu.Lock()
	f.failed = "CreateDataset"
	f.mu.Unlock()
	if got := run(dataset); got != `["it is CREATE FAILED"]` {
		t.Errorf("a function that failed: %s", got)
	}
}
