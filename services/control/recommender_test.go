package control

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/control/crud"
)

const useCase = "arn:aws:personalize:::recipe/aws-ecomm-recommended-for-you"

// shop creates a dataset group of the ECOMMERCE domain with an Interactions dataset.
func (i *installation) shop(name string) string {
	i.t.Helper()
	domain := aws.String("ECOMMERCE")
	arn := *must(i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: &name, Domain: domain}))(i.t).DatasetGroupArn
	i.activeGroup(arn)
	schema := must(i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String(name + "-interactions"), Domain: domain, Schema: aws.String(
		withColumns(interactionsSchema, `{"name":"DEVICE","type":["null","string"],"categorical":true}`))}))(i.t).SchemaArn
	must(i.CreateDataset(&personalize.CreateDatasetInput{
		Name: aws.String(name + "-interactions"), DatasetGroupArn: &arn, DatasetType: aws.String("Interactions"), SchemaArn: schema,
	}))(i.t)
	return arn
}

func (i *installation) recommender(group, name string, config *personalize.RecommenderConfig) string {
	i.t.Helper()
	return *must(i.CreateRecommender(&personalize.CreateRecommenderInput{
		Name: &name, DatasetGroupArn: &group, RecipeArn: aws.String(useCase), RecommenderConfig: config,
	}))(i.t).RecommenderArn
}

func (i *installation) describeRecommender(arn string) *personalize.Recommender {
	i.t.Helper()
	return must(i.DescribeRecommender(&personalize.DescribeRecommenderInput{RecommenderArn: &arn}))(i.t).Recommender
}

func (i *installation) awaitRecommender(arn, status string) {
	i.t.Helper()
	reaches(i.t, status, func() (string, error) { return *i.describeRecommender(arn).Status, nil })
}

// stored is the recommender with what clients don't see.
func (i *installation) stored(arn string) *catalog.Recommender {
	i.t.Helper()
	return must(i.store.Recommenders.Get(i.t.Context(), arn))(i.t)
}

// training waits for the version that a recommender is being trained with.
func (i *installation) training(arn string) *catalog.SolutionVersion {
	i.t.Helper()
	solution := solutionOf(i.stored(arn))
	var found *catalog.SolutionVersion
	reaches(i.t, "found", func() (string, error) {
		for _, v := range must(i.store.SolutionVersions.List(i.t.Context()))(i.t) {
			if v.SolutionARN == solution && !v.Finished() {
				found = v
				return "found", nil
			}
		}
		return "none", nil
	})
	return found
}

func (i *installation) activeRecommender(group, name string) string {
	i.t.Helper()
	arn := i.recommender(group, name, nil)
	i.trained(i.training(arn).ARN)
	i.awaitRecommender(arn, "ACTIVE")
	return arn
}

func TestARecommenderTrainsByItself(t *testing.T) {
	i := install(t, crud.Quotas{SolutionsPerGroup: 1, RunningTrainings: 1})
	group := i.shop("shop")
	config := &personalize.RecommenderConfig{
		ItemExplorationConfig:              map[string]*string{"explorationWeight": aws.String("0.5"), "explorationItemAgeCutOff": aws.String("7")},
		MinRecommendationRequestsPerSecond: aws.Int64(2), EnableMetadataWithRecommendations: aws.Bool(true),
		TrainingDataConfig: &personalize.TrainingDataConfig{ExcludedDatasetColumns: map[string][]*string{"INTERACTIONS": {aws.String("DEVICE")}}},
	}
	arn := i.recommender(group, "home", config)
	version := i.training(arn)
	if version.TrainingType != mode.TrainingAutomatic || version.RecipeARN != useCase || version.DatasetGroupARN != group ||
		len(version.Config.TrainingDataConfig.ExcludedDatasetColumns["INTERACTIONS"]) != 1 {
		t.Errorf("it is trained with %+v", version)
	}
	i.awaitRecommender(arn, "CREATE IN_PROGRESS")
	_, err := i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "CREATE IN_PROGRESS")

	// Nobody sees what it is trained with, and it counts to no quota.
	solution := solutionOf(i.stored(arn))
	if listed := must(i.ListSolutions(&personalize.ListSolutionsInput{}))(t).Solutions; len(listed) != 0 {
		t.Errorf("solutions %v", listed)
	}
	if listed := must(i.ListSolutionVersions(&personalize.ListSolutionVersionsInput{}))(t).SolutionVersions; len(listed) != 0 {
		t.Errorf("versions %v", listed)
	}
	for operation, member := range map[string]string{
		"DescribeSolution": "solutionArn", "UpdateSolution": "solutionArn", "DeleteSolution": "solutionArn", "CreateSolutionVersion": "solutionArn",
		"ListSolutionVersions": "solutionArn", "ListTagsForResource": "resourceArn",
	} {
		refusedRaw(t, i.client.Call(t.Context(), operation, map[string]any{member: solution}, nil), missing, solution)
	}
	for operation, request := range map[string]map[string]any{
		"DescribeSolutionVersion": {}, "GetSolutionMetrics": {}, "StopSolutionVersionCreation": {}, "CreateCampaign": {"name": "c"},
	} {
		request["solutionVersionArn"] = version.ARN
		refusedRaw(t, i.client.Call(t.Context(), operation, request, nil), missing, version.ARN)
	}
	i.solution(group, "own", "aws-sims")

	i.trained(version.ARN)
	i.awaitRecommender(arn, "ACTIVE")
	r := i.describeRecommender(arn)
	if !reflect.DeepEqual(r.RecommenderConfig, config) || *r.ModelMetrics["coverage"] != 0.5 || *r.Name != "home" || *r.DatasetGroupArn != group || *r.RecipeArn != useCase ||
		r.LatestRecommenderUpdate != nil || r.FailureReason != nil {
		t.Errorf("got %v", r)
	}
	if got := i.stored(arn).SolutionVersionARN; got != version.ARN {
		t.Errorf("it serves %s, not %s", got, version.ARN)
	}
	listed := must(i.ListRecommenders(&personalize.ListRecommendersInput{DatasetGroupArn: &group}))(t).Recommenders
	if len(listed) != 1 || *listed[0].RecommenderArn != arn || *listed[0].Status != "ACTIVE" || !reflect.DeepEqual(listed[0].RecommenderConfig, config) {
		t.Errorf("listed %v", listed)
	}

	_, err = i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group})
	refused(t, err, inUse, arn)
	if strings.Contains(err.Error(), "_home") {
		t.Errorf("the refusal names what is hidden: %v", err)
	}
	must(i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn}))(t)
	disappears(t, func() error {
		_, err := i.DescribeRecommender(&personalize.DescribeRecommenderInput{RecommenderArn: &arn})
		return err
	})
	if left := must(i.store.SolutionVersions.List(t.Context()))(t); len(left) != 0 {
		t.Errorf("versions left: %v", left)
	}
}

// solutionOf returns the ARN of the solution that a recommender trains with.
func solutionOf(r *catalog.Recommender) string {
	return crud.SiblingARN(r.ARN, resource.Solution, crud.HiddenName(r))
}

// autoTrain creates a version as the retrainer does when automatic training is due.
func (i *installation) autoTrain(solution *catalog.Solution, id string) string {
	i.t.Helper()
	a := must(resource.ParseARN(solution.ARN))(i.t)
	version := &catalog.SolutionVersion{
		Metadata:    crud.NewMeta(a.With(resource.SolutionVersion, a.ID+"/"+id).String(), "", nil),
		SolutionARN: solution.ARN, RecipeARN: solution.RecipeARN, DatasetGroupARN: solution.DatasetGroupARN,
		TrainingMode: mode.TrainingFull, TrainingType: mode.TrainingAutomatic, Config: solution.Config,
	}
	must(0, i.store.Create(i.t.Context(), version, catalog.Under(solution.ARN, crud.ValidateActive[*catalog.Solution])))(i.t)
	return version.ARN
}

func TestARecommenderFollowsAutomaticTraining(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.activeRecommender(i.shop("shop"), "home")
	var versions []string
	for _, reason := range []string{"second", "third"} {
		versions = append(versions, i.stored(arn).SolutionVersionARN)
		solution := must(i.store.Solutions.Get(t.Context(), solutionOf(i.stored(arn))))(t)
		if !solution.PerformAutoTraining || solution.OwnedBy != arn {
			t.Fatalf("got %+v", solution)
		}
		next := i.autoTrain(solution, reason)
		i.trained(next)
		reaches(t, next, func() (string, error) { return i.stored(arn).SolutionVersionARN, nil })
		i.awaitRecommender(arn, "ACTIVE")
	}
	// The last version before stays for those who are still answering with it.
	reaches(t, "gone", func() (string, error) {
		if _, err := i.store.SolutionVersions.Get(t.Context(), versions[0]); err != nil {
			return "gone", nil
		}
		return "there", nil
	})
	must(i.store.SolutionVersions.Get(t.Context(), versions[1]))(t)
}

func TestARecommenderFailsWithItsTraining(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.shop("shop")
	arn := i.recommender(group, "home", nil)
	version := i.training(arn)
	const reason = "Dataset has fewer than 1000 interactions after filtering by event type: View"
	must(i.store.SolutionVersions.Update(t.Context(), version.ARN, func(v *catalog.SolutionVersion) error { v.Fail(reason); return nil }))(t)
	i.awaitRecommender(arn, "CREATE FAILED")
	if r := i.describeRecommender(arn); *r.FailureReason != reason {
		t.Errorf("got %v", r)
	}
	if must(i.store.Solutions.Get(t.Context(), version.SolutionARN))(t).PerformAutoTraining {
		t.Error("a recommender that failed is trained on")
	}
	_, err := i.StopRecommender(&personalize.StopRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "CREATE FAILED")
	_, err = i.UpdateRecommender(&personalize.UpdateRecommenderInput{RecommenderArn: &arn, RecommenderConfig: &personalize.RecommenderConfig{}})
	refused(t, err, inUse, "CREATE FAILED")

	// Made again under its name it begins anew.
	must(i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn}))(t)
	disappears(t, func() error {
		_, err := i.DescribeRecommender(&personalize.DescribeRecommenderInput{RecommenderArn: &arn})
		return err
	})
	if again := i.activeRecommender(group, "home"); again != arn || i.stored(arn).SolutionVersionARN == version.ARN {
		t.Errorf("got %+v", i.stored(arn))
	}
}

func TestARecommenderIsStoppedAndStarted(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.activeRecommender(i.shop("shop"), "home")
	trains := func() bool {
		return must(i.store.Solutions.Get(t.Context(), solutionOf(i.stored(arn))))(t).PerformAutoTraining
	}
	_, err := i.StartRecommender(&personalize.StartRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "it must be INACTIVE")
	if out := must(i.StopRecommender(&personalize.StopRecommenderInput{RecommenderArn: &arn}))(t); *out.RecommenderArn != arn {
		t.Errorf("got %v", out)
	}
	i.awaitRecommender(arn, "INACTIVE")
	if trains() {
		t.Error("a stopped recommender is trained on")
	}
	_, err = i.StopRecommender(&personalize.StopRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "it must be ACTIVE")
	must(i.StartRecommender(&personalize.StartRecommenderInput{RecommenderArn: &arn}))(t)
	i.awaitRecommender(arn, "ACTIVE")
	if !trains() {
		t.Error("a started recommender is not trained")
	}
	// A late change of a replica that was asleep is taken back.
	must(i.store.Solutions.Update(t.Context(), solutionOf(i.stored(arn)), func(r *catalog.Solution) error { r.PerformAutoTraining = false; return nil }))(t)
	reaches(t, "true", func() (string, error) { return fmt.Sprint(trains()), nil })
	must(i.StopRecommender(&personalize.StopRecommenderInput{RecommenderArn: &arn}))(t)
	i.awaitRecommender(arn, "INACTIVE")
	must(i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn}))(t)
}

func TestARecommenderIsUpdated(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.activeRecommender(i.shop("shop"), "home")
	first := i.stored(arn).SolutionVersionARN
	update := func(config *personalize.RecommenderConfig) {
		t.Helper()
		must(i.UpdateRecommender(&personalize.UpdateRecommenderInput{RecommenderArn: &arn, RecommenderConfig: config}))(t)
	}
	await := func(status string) *personalize.Recommender {
		t.Helper()
		reaches(t, status, func() (string, error) { return *i.describeRecommender(arn).LatestRecommenderUpdate.Status, nil })
		return i.describeRecommender(arn)
	}

	exploring := &personalize.RecommenderConfig{ItemExplorationConfig: map[string]*string{"explorationWeight": aws.String("0")}}
	update(exploring)
	if r := await("ACTIVE"); r.RecommenderConfig.String() != exploring.String() || r.LatestRecommenderUpdate.RecommenderConfig.String() != exploring.String() {
		t.Errorf("got %v", r)
	}
	if got := i.stored(arn).SolutionVersionARN; got != first {
		t.Errorf("an update that needs no training moved it to %s", got)
	}

	// Other columns need another model. Until that is trained everything stays.
	columns := &personalize.RecommenderConfig{TrainingDataConfig: &personalize.TrainingDataConfig{
		ExcludedDatasetColumns: map[string][]*string{"INTERACTIONS": {aws.String("DEVICE")}}}}
	update(columns)
	version := i.training(arn)
	if version.Config == nil || len(version.Config.TrainingDataConfig.ExcludedDatasetColumns) != 1 {
		t.Errorf("it is trained with %+v", version.Config)
	}
	r := await("CREATE IN_PROGRESS")
	if *r.Status != "ACTIVE" || r.RecommenderConfig.String() != exploring.String() {
		t.Errorf("got %v", r)
	}
	_, err := i.StopRecommender(&personalize.StopRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "being updated")
	_, err = i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn})
	refused(t, err, inUse, "being updated")
	i.trained(version.ARN)
	if r := await("ACTIVE"); r.RecommenderConfig.String() != columns.String() || i.stored(arn).SolutionVersionARN != version.ARN {
		t.Errorf("got %v", r)
	}

	update(exploring)
	failing := i.training(arn)
	must(i.store.SolutionVersions.Update(t.Context(), failing.ARN, func(v *catalog.SolutionVersion) error { v.Fail("too little data"); return nil }))(t)
	r = await("CREATE FAILED")
	if *r.Status != "ACTIVE" || *r.LatestRecommenderUpdate.FailureReason != "too little data" || r.RecommenderConfig.String() != columns.String() ||
		i.stored(arn).SolutionVersionARN != version.ARN {
		t.Errorf("got %v", r)
	}
	if c := must(i.store.Solutions.Get(t.Context(), version.SolutionARN))(t).Config; c == nil || len(c.TrainingDataConfig.ExcludedDatasetColumns) != 1 {
		t.Errorf("the next training is with %+v", c)
	}
}

// A training that nobody asked for by name is stopped with the recommender it is for.
func TestARecommenderIsDeletedWhileItRetrains(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.activeRecommender(i.shop("shop"), "home")
	solution := must(i.store.Solutions.Get(t.Context(), solutionOf(i.stored(arn))))(t)
	next := i.autoTrain(solution, "second")
	_, err := i.store.SolutionVersions.Acquire(t.Context(), next, "worker", time.Minute)
	must(0, err)(t)
	must(i.store.SolutionVersions.Update(t.Context(), next, func(v *catalog.SolutionVersion) error { v.Status = status.CreateInProgress; return nil }))(t)

	must(i.DeleteRecommender(&personalize.DeleteRecommenderInput{RecommenderArn: &arn}))(t)
	reaches(t, "CREATE STOPPING", func() (string, error) {
		return must(i.store.SolutionVersions.Get(t.Context(), next))(t).Status, nil
	})
	if got := *i.describeRecommender(arn).Status; !strings.HasPrefix(got, "DELETE ") {
		t.Errorf("status %s", got)
	}
	must(i.store.SolutionVersions.Update(t.Context(), next, func(v *catalog.SolutionVersion) error {
		v.Status, v.Lease.Owner = status.CreateStopped, ""
		return nil
	}))(t)
	disappears(t, func() error {
		_, err := i.DescribeRecommender(&personalize.DescribeRecommenderInput{RecommenderArn: &arn})
		return err
	})
}

// A version that is taken back because its creation took too long is made again.
func TestALostTrainingIsMadeAgain(t *testing.T) {
	i := install(t, crud.Quotas{})
	arn := i.recommender(i.shop("shop"), "home", nil)
	lost := i.training(arn)
	i.awaitRecommender(arn, "CREATE IN_PROGRESS")
	must(0, i.store.Delete(t.Context(), lost))(t)
	eventually.Succeeds(t, "the training is made again", func() error {
		again, err := i.store.SolutionVersions.Get(t.Context(), lost.ARN)
		if err == nil && again.ID == lost.ID {
			err = errors.New("it is still there")
		}
		return err
	})
	i.trained(lost.ARN)
	i.awaitRecommender(arn, "ACTIVE")
}

// What a replica makes for a recommender that has been deleted meanwhile does not stay.
func TestAnAbandonedSolutionGoes(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.shop("shop")
	owner := &catalog.Recommender{
		Metadata:        catalog.Metadata{ARN: crud.SiblingARN(group, resource.Recommender, "home"), Name: "home", ID: "00000000-gone"},
		DatasetGroupARN: group, RecipeARN: useCase,
	}
	abandoned := &catalog.Solution{
		Metadata: crud.NewMeta(solutionOf(owner), owner.Name, nil), OwnedBy: owner.ARN, DatasetGroupARN: group, RecipeARN: useCase,
		PerformAutoTraining: true,
	}
	must(0, i.store.Create(t.Context(), abandoned, catalog.Under(group, crud.ValidateActive[*catalog.DatasetGroup])))(t)
	if err := crud.Activate(t.Context(), i.service.env, abandoned); err != nil && !errors.Is(err, catalog.ErrNotFound) { // it can be gone at once
		t.Fatal(err)
	}
	eventually.Succeeds(t, "the solution is gone", func() error {
		_, err := i.store.Solutions.Get(t.Context(), solutionOf(owner))
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		return cmp.Or(err, errors.New("it is still there"))
	})
}
