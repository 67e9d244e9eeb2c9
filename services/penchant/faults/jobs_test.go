package faults

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// shortLease has a job taken over soon. Where no lease has to expire, tests keep the default.
const shortLease = "PENCHANT_JOB_LEASE=2s"

// through are the settings of a process that reaches S3 through a proxy.
func through(proxy *penchanttest.S3Proxy, servers penchanttest.Servers, more ...string) []string {
	servers.S3 = proxy.Config
	return append(servers.Settings(), more...)
}

// TestTrainingOutlivesItsWorker (promises 6 and 7): a retrainer is killed in the middle of a training, another when its
// model is in the bucket and the catalog does not know it yet. Each time another one takes the job over, and in the end
// there is one model, the one that an undisturbed training makes.
func TestTrainingOutlivesItsWorker(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "killed-training")
	s.importClicks("clicks", 1)
	solution := s.solution("taste", "aws-user-personalization")
	undisturbed := s.awaitVersion(s.startVersion(solution))
	stack.one("retrainer").Terminate()

	for _, fault := range []struct {
		when  string
		fault func(*penchanttest.Hold) penchanttest.S3Fault
		parts bool // whether the model's parts are in the bucket by then
	}{
		{"while it loads", func(h *penchanttest.Hold) penchanttest.S3Fault {
			return penchanttest.On(http.MethodGet, "/datasets/", h.Before)
		}, false},
		{"when the model is stored", func(h *penchanttest.Hold) penchanttest.S3Fault {
			return penchanttest.On(http.MethodPut, "/manifest-", h.After)
		}, true},
	} {
		version := s.startVersion(solution)
		proxy, hold := penchanttest.StartS3Proxy(t, servers.S3), penchanttest.NewHold()
		proxy.Fail(fault.fault(hold))
		victim := penchanttest.Launch(t, "retrainer", t.TempDir(), through(proxy, servers, shortLease)...)
		hold.Await(t, startLimit)
		before := models(s, version)
		if (len(before) > 0) != fault.parts {
			t.Fatalf("killed %s: the bucket holds %v", fault.when, before)
		}
		victim.Kill()
		successor := penchanttest.Launch(t, "retrainer", t.TempDir(), append(servers.Settings(), shortLease)...)
		v := s.awaitVersion(version)
		if v.ModelID != undisturbed.ModelID || v.Lease.Epoch != 2 {
			t.Errorf("killed %s: model %s at attempt %d; without the kill it is %s", fault.when, v.ModelID,
				v.Lease.Epoch, undisturbed.ModelID)
		}
		if after := models(s, version); !slices.Contains(after, v.ManifestKey) || fault.parts &&
			len(parts(after)) != len(parts(before)) {
			t.Errorf("killed %s: the bucket holds %v, before %v", fault.when, after, before)
		}
		successor.Kill() // a drain would wait until Kafka has given up its killed predecessor
	}
	stack.one("control").Terminate()
}

// models are the keys of a solution version's model in the bucket.
func models(s *shop, version string) []string {
	s.Helper()
	var keys []string
	_, name, _ := strings.Cut(version, ":solution/")
	for info, err := range s.bucket.List(s.Context(), "models/"+name+"/") {
		if err != nil {
			s.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func parts(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasSuffix(key, ".part") })
}

// TestZombieRetrainerChangesNothing (promise 7): a retrainer freezes as it publishes a model. When it wakes up, another
// one has finished its job: it drops its work, and what its successor wrote stands.
func TestZombieRetrainerChangesNothing(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "zombie")
	s.importClicks("clicks", 1)
	solution := s.solution("taste", "aws-sims")
	stack.one("retrainer").Terminate()

	proxy, hold := penchanttest.StartS3Proxy(t, servers.S3), penchanttest.NewHold()
	proxy.Fail(penchanttest.On(http.MethodPut, "/manifest-", hold.Before))
	version := s.startVersion(solution)
	zombie := penchanttest.Start(t, "retrainer", t.TempDir(), through(proxy, servers, shortLease)...)
	hold.Await(t, startLimit)
	zombie.Freeze()
	successor := penchanttest.Launch(t, "retrainer", t.TempDir(), append(servers.Settings(), shortLease)...)
	finished := s.awaitVersion(version)

	zombie.Thaw()
	hold.Release()
	eventually.SucceedsWithin(t, recoverLimit, "the zombie drops its work", func() error {
		return exceeds(zombie, "penchant_retrainer_jobs_total", 0, "type", "training", "outcome", "lost")
	})
	after, err := s.store.SolutionVersions.Get(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	// Its lease may have been taken and given back once more, by a worker whose view was behind.
	if after.Status != finished.Status || after.ManifestKey != finished.ManifestKey ||
		after.ModelID != finished.ModelID ||
		!after.UpdatedAt.Equal(finished.UpdatedAt) || after.TrainingHours != finished.TrainingHours {
		t.Errorf("the zombie changed the version:\n%+v\nbefore\n%+v", after, finished)
	}
	zombie.Kill()
	successor.Kill()
	stack.one("control").Terminate()
}

// TestTwoRetrainersShareTheJobs (promise 7): each of many trainings is run once, whichever of two retrainers is faster,
// and equal data gives equal models in both.
func TestTwoRetrainersShareTheJobs(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control")
	retrainers := start(t, servers.Settings(), 2, "retrainer")
	s := openShop(t, servers, stack.one("control"), "two-retrainers")
	s.importClicks("clicks", 1)
	solution := s.solution("taste", "aws-sims")
	const trainings = 8
	var versions []string
	for range trainings {
		versions = append(versions, s.startVersion(solution))
	}
	ids := map[string]bool{}
	for _, version := range versions {
		v := s.awaitVersion(version)
		ids[v.ModelID] = true
		if v.Lease.Epoch != 1 {
			t.Errorf("%s was begun %d times", version, v.Lease.Epoch)
		}
	}
	if len(ids) != 1 {
		t.Errorf("equal data gave %d models: %v", len(ids), ids)
	}
	eventually.SucceedsWithin(t, recoverLimit, "every training is counted once", func() error {
		total := 0.0
		for _, retrainer := range retrainers["retrainer"] {
			n, err := retrainer.Metric("penchant_retrainer_jobs_total", "type", "training")
			if err != nil {
				return err
			}
			total += n
		}
		if total != trainings {
			return fmt.Errorf("%v were run", total)
		}
		return nil
	})
	retrainers.terminate()
	stack.terminate()
}

// TestKilledImportIsAllOrNothing (promise 7): a retrainer is killed before it switches a dataset to the imported rows,
// and another one after it has switched. In between the dataset holds what it held before; in the end, each import
// once.
func TestKilledImportIsAllOrNothing(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control")
	s := openShop(t, servers, stack.one("control"), "killed-import")
	for n, fault := range []struct {
		when  string
		fault func(*penchanttest.Hold) penchanttest.S3Fault
	}{
		{"before the switch", func(h *penchanttest.Hold) penchanttest.S3Fault { return h.Before }},
		{"after the switch", func(h *penchanttest.Hold) penchanttest.S3Fault { return h.After }},
	} {
		number := int64(n + 1)
		job := s.startImport(fmt.Sprintf("import-%d", number), uint64(number))
		proxy, hold := penchanttest.StartS3Proxy(t, servers.S3), penchanttest.NewHold()
		proxy.Fail(penchanttest.On(http.MethodPut, "/INTERACTIONS/manifest.json", fault.fault(hold)))
		victim := penchanttest.Launch(t, "retrainer", t.TempDir(), through(proxy, servers, shortLease)...)
		hold.Await(t, startLimit)
		victim.Kill()
		switch version, err := dataset.Current(t.Context(), s.bucket, s.group.GroupKey(), "INTERACTIONS"); {
		case n == 0 && !errors.Is(err, dataset.ErrNoData):
			t.Errorf("killed %s: the dataset holds %+v, %v", fault.when, version, err)
		case n == 1 && (err != nil || version.Number != number || version.Rows != shopEvents):
			t.Errorf("killed %s: the dataset holds %+v, %v", fault.when, version, err)
		}
		successor := penchanttest.Launch(t, "retrainer", t.TempDir(), append(servers.Settings(), shortLease)...)
		imported := penchanttest.WaitActive[*catalog.DatasetImportJob](t, s.store, job)
		if imported.Lease.Epoch != 2 {
			t.Errorf("killed %s: begun %d times", fault.when, imported.Lease.Epoch)
		}
		version, err := dataset.Current(t.Context(), s.bucket, s.group.GroupKey(), "INTERACTIONS")
		if err != nil || version.Number != number || version.Rows != shopEvents {
			t.Errorf("killed %s: in the end the dataset holds %+v, %v", fault.when, version, err)
		}
		described, err := s.store.Datasets.Get(t.Context(), s.dataset)
		if err != nil || described.Version != number {
			t.Errorf("killed %s: in the end the catalog says version %d, %v", fault.when, described.Version, err)
		}
		successor.Kill() // a drain would wait until Kafka has given up its killed predecessor
	}
	stack.terminate()
}

// TestDamagedArchiveFileIsLeftOut (promise 9): files of the archive are damaged. Training goes on with the rest, and
// says which it left out: in the log, in a metric and with the solution version.
func TestDamagedArchiveFileIsLeftOut(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, append(servers.Settings(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=100ms"), 1, "control", "tracker",
		"firehose", "retrainer")
	s := &shop{TB: t, api: stack.one("control").API(), bucket: servers.OpenBucket(t, "")}
	s.store = catalog.NewStore(s.bucket, nil)
	var trackingID string
	s.group, trackingID = penchanttest.TrackedGroup(t, s.api, s.bucket, "damaged")

	sender := &penchanttest.Sender{TrackingID: trackingID}
	to := func() *awsapi.Client { return stack.one("tracker").API() }
	for {
		if _, acknowledged := sender.Counts(); acknowledged >= shopEvents {
			break
		}
		if err := sender.Send(t.Context(), to, 1); err != nil {
			t.Fatal(err)
		}
	}
	archived := sender.CheckArchive(t, s.bucket, s.group.GroupKey(), recoverLimit)
	stack.one("firehose").Terminate()
	var files []string
	for info, err := range s.bucket.List(t.Context(), "archive/"+s.group.GroupKey()+"/interactions/") {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, info.Key)
	}
	if len(files) < 5 {
		t.Fatalf("only %d files are archived", len(files))
	}
	var damaged []string
	for kind, damage := range damages {
		key := files[len(damaged)]
		spoil(t, s.bucket, key, damage)
		damaged = append(damaged, key)
		t.Logf("%s: %s", key, kind)
	}

	v := s.awaitVersion(s.startVersion(s.solution("taste", "aws-popularity-count")))
	slices.Sort(v.DamagedFiles)
	slices.Sort(damaged)
	if !slices.Equal(v.DamagedFiles, damaged) {
		t.Errorf("the solution version names %v, damaged are %v of %d events", v.DamagedFiles, damaged, len(archived))
	}
	retrainer := stack.one("retrainer")
	if n, err := retrainer.Metric("penchant_retrainer_damaged_files_total"); err != nil || n != float64(len(damaged)) {
		t.Errorf("%v damaged files are counted, %v", n, err)
	}
	for _, key := range damaged {
		if !strings.Contains(retrainer.Output(), key) {
			t.Errorf("the log does not name %s", key)
		}
	}
	retrainer.Terminate()
	stack.one("tracker").Terminate()
	stack.one("control").Terminate()
}

// damages are what may become of an object.
var damages = map[string]func([]byte) []byte{
	"a flipped bit": func(data []byte) []byte {
		spoiled := slices.Clone(data)
		spoiled[len(spoiled)/2] ^= 0x10
		return spoiled
	},
	"truncated": func(data []byte) []byte { return data[:len(data)/2] },
	"empty":     func([]byte) []byte { return nil },
}

// spoil damages an object, which keeps its metadata, and returns what it held.
func spoil(t testing.TB, bucket *blob.Bucket, key string, damage func([]byte) []byte) (before []byte) {
	t.Helper()
	before, info, err := bucket.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), key, damage(before), blob.PutOptions{Metadata: info.Metadata}); err != nil {
		t.Fatal(err)
	}
	return before
}

// TestTrainingThroughAStoreThatFails (promise 5, for the retrainer): bursts of errors and answers that break off cost a
// training time only. Where the store never recovers, the training fails with a reason that names the cause.
func TestTrainingThroughAStoreThatFails(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	proxy := penchanttest.StartS3Proxy(t, servers.S3)
	stack := start(t, servers.Settings(), 1, "control")
	retrainer := penchanttest.Start(t, "retrainer", t.TempDir(), through(proxy, servers, "PENCHANT_JOB_LEASE=1s")...)
	s := openShop(t, servers, stack.one("control"), "failing-store")
	s.importClicks("clicks", 1)
	solution := s.solution("taste", "aws-popularity-count")

	overloaded := penchanttest.Refuse(http.StatusServiceUnavailable, "SlowDown")
	for name, fault := range map[string]penchanttest.S3Fault{
		"reads are refused for a while": penchanttest.On(http.MethodGet, "/datasets/",
			penchanttest.Times(3, overloaded)),
		"writes are refused for a while": penchanttest.On(http.MethodPut, "/models/",
			penchanttest.Times(3, overloaded)),
		"answers break off": penchanttest.On(http.MethodGet, "/datasets/",
			penchanttest.Times(3, penchanttest.BreakOffAfter(100))),
		"writes lose their answers": penchanttest.On(http.MethodPut, "/models/",
			penchanttest.Times(3, penchanttest.LoseAnswer)),
	} {
		proxy.Fail(fault)
		if v := s.awaitVersion(s.startVersion(solution)); v.Lease.Epoch != 1 {
			t.Errorf("%s: the training was begun %d times", name, v.Lease.Epoch)
		}
		proxy.Mend()
	}

	proxy.Fail(penchanttest.On(http.MethodGet, "/datasets/", penchanttest.Refuse(http.StatusForbidden, "AccessDenied")))
	version := s.startVersion(solution)
	eventually.SucceedsWithin(t, recoverLimit, "the training fails for good", func() error {
		v, err := s.store.SolutionVersions.Get(t.Context(), version)
		if err != nil {
			return err
		}
		if v.Status != status.CreateFailed {
			return fmt.Errorf("it is %s", v.Status)
		}
		if !strings.Contains(v.FailureReason, "denied access") || !strings.Contains(v.FailureReason, "5 times") {
			t.Errorf("the reason does not name the cause: %s", v.FailureReason)
		}
		return nil
	})
	proxy.Mend()
	s.awaitVersion(s.startVersion(solution))
	retrainer.Terminate()
	stack.terminate()
}
