package faults

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// code is the exception's name of a refusal, "" of nil.
func code(err error) string {
	var refusal *awsapi.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refusal):
		return refusal.Code
	}
	return err.Error()
}

// TestOfManyCreatorsOneWins (promise 7): several clients create one name at two control planes at once, in many rounds
// and for each type of resource. One gets its resource, the others ResourceAlreadyExistsException.
func TestOfManyCreatorsOneWins(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 2, "control")
	s := openShop(t, servers, stack["control"][0], "creators")
	apis := []*awsapi.Client{stack["control"][0].API(), stack["control"][1].API()}
	const rounds = 6
	for round := range rounds {
		name := fmt.Sprintf("race-%d", round)
		var group personalize.CreateDatasetGroupResponse
		var schema personalize.CreateSchemaResponse
		oneWins(t, apis, "CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, &group)
		oneWins(t, apis, "CreateSchema",
			&personalize.CreateSchemaRequest{Name: &name, Schema: new(penchanttest.InteractionsSchema)}, &schema)
		groupARN := penchanttest.WaitActive[*catalog.DatasetGroup](t, s.store, *group.DatasetGroupArn).ARN
		oneWins(t, apis, "CreateDataset", &personalize.CreateDatasetRequest{
			Name: &name, DatasetGroupArn: &groupARN, DatasetType: new("Interactions"), SchemaArn: schema.SchemaArn,
		}, &personalize.CreateDatasetResponse{})
		oneWins(t, apis, "CreateEventTracker",
			&personalize.CreateEventTrackerRequest{Name: &name, DatasetGroupArn: &groupARN},
			&personalize.CreateEventTrackerResponse{})
	}
	groups, err := s.store.DatasetGroups.List(t.Context())
	if err != nil || len(groups) != rounds+1 {
		t.Errorf("%d dataset groups, %v", len(groups), err)
	}
	stack.terminate()
}

// oneWins makes a call from six clients at once; the winner's answer is in out.
func oneWins[Out any](t *testing.T, apis []*awsapi.Client, operation string, in any, out *Out) {
	t.Helper()
	var mu sync.Mutex
	results := map[string]int{}
	var calling sync.WaitGroup
	for n := range 6 {
		calling.Go(func() {
			var answer Out
			err := apis[n%len(apis)].Call(t.Context(), operation, in, &answer)
			mu.Lock()
			defer mu.Unlock()
			results[code(err)]++
			if err == nil {
				*out = answer
			}
		})
	}
	calling.Wait()
	if results[""] != 1 || results[awsapi.CodeResourceAlreadyExists] != 5 {
		t.Errorf("%s: one of six should win, the others be told that it exists: %v", operation, results)
	}
}

// TestChildOrDeletionNeverBoth (promise 7): a child is created at one control plane while its parent is deleted at
// another. Either there is a child and the deletion was refused, or there is none and the parent goes.
func TestChildOrDeletionNeverBoth(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 2, "control")
	s := openShop(t, servers, stack["control"][0], "families")
	other := stack["control"][1].API()
	created, deleted := 0, 0
	for round := range 16 {
		name := fmt.Sprintf("family-%d", round)
		var group personalize.CreateDatasetGroupResponse
		s.call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, &group)
		penchanttest.WaitActive[*catalog.DatasetGroup](t, s.store, *group.DatasetGroupArn)
		var createErr, deleteErr error
		var calling sync.WaitGroup
		calling.Go(func() {
			_ = penchanttest.Pause(t.Context(), time.Duration(round%4)*3*time.Millisecond)
			deleteErr = other.Call(t.Context(), "DeleteDatasetGroup",
				&personalize.DeleteDatasetGroupRequest{DatasetGroupArn: group.DatasetGroupArn}, nil)
		})
		calling.Go(func() {
			createErr = s.api.Call(t.Context(), "CreateEventTracker",
				&personalize.CreateEventTrackerRequest{Name: &name, DatasetGroupArn: group.DatasetGroupArn}, nil)
		})
		calling.Wait()
		switch c, d := code(createErr), code(deleteErr); {
		case c == "" && d == awsapi.CodeResourceInUse:
			created++
		case (c == awsapi.CodeResourceInUse || c == awsapi.CodeResourceNotFound) && d == "":
			deleted++
		default:
			t.Errorf("round %d: the creation ends with %q, the deletion with %q", round, c, d)
		}
	}
	t.Logf("%d children, %d deletions", created, deleted)
	eventually.SucceedsWithin(t, recoverLimit, "what was deleted is gone, and every child has its parent",
		func() error {
			groups, err := s.store.DatasetGroups.List(t.Context())
			if err != nil {
				return err
			}
			trackers, err := s.store.EventTrackers.List(t.Context())
			if err != nil {
				return err
			}
			if len(groups) != created+1 || len(trackers) != created {
				return fmt.Errorf("%d groups, %d trackers", len(groups), len(trackers))
			}
			return nil
		})
	stack.terminate()
}

// TestKilledControlIsMadeUpFor (promise 7): a control plane is killed when a dataset group is in the catalog and its
// client has no answer yet, and another when the topics are there and the group is not ACTIVE. Each time another
// replica ends it.
func TestKilledControlIsMadeUpFor(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	store := catalog.NewStore(servers.OpenBucket(t, ""), nil)
	for n, hold := range []*penchanttest.Hold{penchanttest.NewHold(), penchanttest.NewHold()} {
		name := fmt.Sprintf("killed-control-%d", n)
		proxy := penchanttest.StartS3Proxy(t, servers.S3)
		victim := penchanttest.Start(t, "control", t.TempDir(), through(proxy, servers)...)
		path := "/catalog/dataset-group/" + name + ".json"
		fault := penchanttest.On(http.MethodPut, path, hold.After)
		if n == 1 { // the second write is the one to ACTIVE
			fault = func(store http.Handler) http.Handler {
				return penchanttest.On(http.MethodPut, path,
					penchanttest.Times(1, func(http.Handler) http.Handler { return store }))(
					penchanttest.On(http.MethodPut, path, hold.Before)(store))
			}
		}
		proxy.Fail(fault)
		var calling sync.WaitGroup
		api := victim.API()
		calling.Go(func() {
			// its answer may be lost
			_ = api.Call(t.Context(), "CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, nil)
		})
		hold.Await(t, startLimit)
		victim.Kill()
		calling.Wait()
		successor := penchanttest.Launch(t, "control", t.TempDir(), servers.Settings()...)
		arn := "arn:aws:personalize:us-east-1:000000000000:dataset-group/" + name
		if g := penchanttest.WaitActive[*catalog.DatasetGroup](t, store, arn); g.Revision != 2 {
			t.Errorf("the group was written %d times", g.Revision)
		}
		successor.Terminate()
	}
}

// TestLostAnswersOfTheCatalogAreRecognised (promise 7): the store does what the catalog asks for and loses its answers.
// A client's first call succeeds all the same, and is not told that its own resource exists already.
func TestLostAnswersOfTheCatalogAreRecognised(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	proxy := penchanttest.StartS3Proxy(t, servers.S3)
	control := penchanttest.Start(t, "control", t.TempDir(), through(proxy, servers)...)
	proxy.Fail(penchanttest.On(http.MethodPut, "/catalog/", penchanttest.LoseAnswer))
	s := openShop(t, servers, control, "lost-answers") // fails on the first refusal
	s.call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: new("lost-answers"),
		DatasetGroupArn: &s.group.ARN}, nil)
	s.solution("lost-answers", "aws-sims")
	proxy.Mend()
	control.Terminate()
}

// TestControlWithoutItsStore (promises 7 and 11): the store is overloaded, refuses, is away or silent. Calls are
// answered with 5xx soon, readiness says so, and nothing is half created: afterwards the same call succeeds.
func TestControlWithoutItsStore(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	proxy := penchanttest.StartS3Proxy(t, servers.S3)
	control := penchanttest.Start(t, "control", t.TempDir(), through(proxy, servers)...)
	silent := penchanttest.NewHold()
	defer silent.Release()
	for name, fault := range map[string]penchanttest.S3Fault{
		"overloaded": penchanttest.Refuse(http.StatusServiceUnavailable, "SlowDown"),
		"refusing":   penchanttest.Refuse(http.StatusForbidden, "AccessDenied"),
		"away":       penchanttest.Away,
		"silent":     silent.Before,
	} {
		proxy.Fail(fault)
		started := time.Now()
		request := &personalize.CreateSchemaRequest{Name: &name, Schema: new(penchanttest.InteractionsSchema)}
		err := control.API().Call(t.Context(), "CreateSchema", request, nil)
		var refusal *awsapi.Error
		if !errors.As(err, &refusal) || refusal.Status < 500 {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("%s: answered after %s", name, took)
		}
		if control.Ready() == nil {
			t.Errorf("%s: it says that it is ready", name)
		}
		proxy.Mend()
		if err := control.API().Call(t.Context(), "CreateSchema", request, nil); err != nil {
			t.Errorf("after it was %s: %v", name, err)
		}
		control.AwaitReady(recoverLimit)
	}
	control.Terminate()
}
