package batch

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/userstate"
)

func openUsers(t *testing.T) *userstate.Store {
	t.Helper()
	users, err := userstate.Open(t.Context(), embeddedtest.Redis(t), userstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { users.Close() })
	return users
}

func TestBatchResultsCanBeLookedUp(t *testing.T) {
	t.Parallel()
	i := install(t)
	users := openUsers(t)
	s := i.retrainer(func(c *config) { c.Users, c.BatchShardLines = users, 50 })
	stop := i.Background(s.Run)
	v, want := i.sharedJob(s)
	related := i.Ends(i.Version(i.Solution("related", "aws-sims", nil), "00000001"))
	stop()
	results := func(set string) func(*catalog.BatchInferenceJob) {
		return func(job *catalog.BatchInferenceJob) { job.ResultSet, job.ResultsTTL = set, time.Hour }
	}
	lookUp := func(set, id string) (string, *userstate.ResultSet, error) {
		value, found, err := users.FindResult(t.Context(), i.Group.GroupKey(), set, id)
		return string(value), found, err
	}
	spread, old := i.batch("spread", v, "in/", results("home")), i.batch("old", v, "in/", results("mail"))
	time.Sleep(2 * time.Millisecond) // creation times are in milliseconds
	i.put("items.json", `{"itemId":"i01","userId":"u001"}`+"\n"+`{"userId":"u002"}`+"\n")
	newer := i.batch("newer", related, "items.json", results("mail"))
	i.spread(s, spread, 3)
	i.Background(i.retrainer(func(c *config) { c.Users, c.BatchShardLines = users, 50 }).Run)
	for _, job := range []*catalog.BatchInferenceJob{newer, old, spread} {
		i.succeeds(job)
	}

	seen := map[string]bool{}
	for line := range strings.Lines(want["a.json.out"]) {
		var answer struct {
			Input  json.RawMessage
			Output json.RawMessage
			Error  *string
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Error != nil {
			continue
		}
		var request inferenceRequest
		if err := json.Unmarshal(answer.Input, &request); err != nil {
			t.Fatal(err)
		}
		seen[request.UserID] = true
		value, set, err := lookUp("home", request.UserID)
		if err != nil || value != string(answer.Output) || set.Job != spread.ARN {
			t.Fatalf("%s is looked up as %s, %v; the output says %s", request.UserID, value, err, answer.Output)
		}
	}
	if len(seen) != 45 {
		t.Errorf("%d users were looked up", len(seen))
	}
	if _, _, err := lookUp("home", ""); !errors.Is(err, userstate.ErrNoResult) {
		t.Errorf("a refused line can be looked up: %v", err)
	}
	// The job of related items was created last: what the older one loads does not replace it, whichever ended first.
	value, set, err := lookUp("mail", "i01")
	if err != nil || set.Job != newer.ARN || !strings.Contains(value, "recommendedItems") {
		t.Errorf("i01 is looked up as %s in %+v, %v", value, set, err)
	}
	if _, _, err := lookUp("mail", "u001"); !errors.Is(err, userstate.ErrNoResult) {
		t.Errorf("related items can be looked up by user: %v", err)
	}
}

func TestAJobWhoseResultsCannotBeLoadedFails(t *testing.T) {
	t.Parallel()
	i := install(t)
	users := openUsers(t)
	s := i.retrainer(func(c *config) { c.Users, c.Attempts, c.LeaseTTL = users, 2, 200*time.Millisecond })
	i.Background(s.Run)
	v, want := i.sharedJob(s)
	users.Close()
	job := jobEnds(i, i.batch("unloaded", v, "in/", func(job *catalog.BatchInferenceJob) { job.ResultSet, job.ResultsTTL = "home", time.Hour }))
	if job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, "could not be loaded into Redis") {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
	i.sameOutput("unloaded", want)
}
