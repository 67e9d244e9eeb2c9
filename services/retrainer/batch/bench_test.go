package batch

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// PENCHANT_BENCH_USERS asks for a batch inference of so many users on data like MovieLens 1M (165 interactions a user,
// 3,700 items), by one retrainer and by two: some minutes for 100,000. PENCHANT_BENCH_THREADS=1 leaves out the one that
// uses all processors.
func TestBatchInferenceThroughput(t *testing.T) {
	t.Parallel()
	users, err := strconv.Atoi(os.Getenv("PENCHANT_BENCH_USERS"))
	if err != nil {
		t.Skip("set PENCHANT_BENCH_USERS to a number of users")
	}
	const items, perUser, trainedOn = 3700, 165, 6000
	i := install(t)
	d := i.InteractionsDataset()
	s := i.retrainer(func(c *config) { c.LeaseTTL = time.Minute })
	random := rand.New(rand.NewPCG(1, 2))
	builder := trainingset.NewBuilder(trainingset.Options{})
	var csv bytes.Buffer
	csv.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
	for u := range users {
		taste := random.IntN(20)
		for e := range perUser {
			item := int(math.Pow(random.Float64(), 2)*items/20)*20 + taste
			fmt.Fprintf(&csv, "u%d,i%d,%d\n", u, item, 1_000_000_000+e*1000+u)
			if u < trainedOn {
				builder.Add(&reco.Interaction{
					EventID: fmt.Sprintf("%d-%d", u, e), UserID: fmt.Sprintf("u%d", u), ItemID: fmt.Sprintf("i%d", item), TimestampMS: int64(1_000_000_000+e*1000+u) * 1000,
				})
			}
		}
	}
	started := time.Now()
	if err := i.Bucket.Upload(t.Context(), "in/big.csv", bytes.NewReader(csv.Bytes()), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	csv = bytes.Buffer{}
	job := i.ImportJob(d, "small", mode.ImportFull, "")
	job.DataLocation = *i.at("in/big.csv").Path
	if _, err := s.imports.Runner(t.Context(), job, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	t.Logf("imported %d rows in %v", users*perUser, time.Since(started))
	set, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	r, _ := recipe.ByName("aws-user-personalization")
	params, err := r.ParseConfig(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Train(t.Context(), set, params, recipe.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	v := i.Version(i.Solution("taste", r.Name, nil), "00000001")
	key, id, err := modelstore.Publish(t.Context(), i.Bucket, v.ARN, r.Name, m, modelstore.Meta{Trained: time.Now(), DataCut: modelstore.DataCut{Time: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Store.SolutionVersions.Update(t.Context(), v.ARN, func(v *catalog.SolutionVersion) error {
		v.Status, v.ManifestKey, v.ModelID = status.Active, key, id
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for u := range users {
		fmt.Fprintf(&lines, "{\"userId\":\"u%d\"}\n", u)
	}
	i.put("users.json", lines.String())
	for _, c := range []struct {
		name              string
		replicas, threads int
	}{{"one retrainer", 1, 0}, {"one retrainer of one thread", 1, 1}, {"two retrainers of one thread each", 2, 1}} {
		t.Run(c.name, func(t *testing.T) {
			if only := os.Getenv("PENCHANT_BENCH_THREADS"); only != "" && only != strconv.Itoa(c.threads) {
				t.Skip("another number of threads is asked for")
			}
			var stops []func()
			for range c.replicas {
				replica := i.retrainer(func(config *config) {
					config.LeaseTTL, config.Threads, config.Log = time.Minute, c.threads, zap.NewNop()
				})
				stops = append(stops, i.Background(replica.Run))
			}
			i.awaitReplicas(c.replicas)
			runtime.GC()
			done, peak := make(chan struct{}), make(chan uint64)
			go func() { peak <- mostHeap(done) }()
			before, started := processorTime(t), time.Now()
			job := i.batch(strings.ReplaceAll(c.name, " ", "-"), v, "users.json", nil)
			jobEndsWithin(i, job, time.Hour)
			took := time.Since(started)
			close(done)
			t.Logf("%d users in %v (%v of processor time): %.0f a second, at most %d MiB on the heap",
				users, took, processorTime(t)-before, float64(users)/took.Seconds(), <-peak>>20)
			i.succeeds(job)
			for _, stop := range stops {
				stop()
			}
		})
	}
}

// mostHeap watches the heap until done is closed.
func mostHeap(done <-chan struct{}) (most uint64) {
	for {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		most = max(most, stats.HeapAlloc)
		select {
		case <-done:
			return most
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
