package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// These benchmarks run `penchant all` as a process of its own and drive it over HTTP with signed calls from this one,
// so on a small machine the client takes its share of the processors. `make bench` runs them all; docs/benchmarks.md
// holds figures.

// BenchmarkPutEvents reports calls and events a second and the latencies of a call, for 1 and 10 events a call, from
// few and from many clients: the embedded log syncs once for all calls that wait, so many clients share its price.
func BenchmarkPutEvents(b *testing.B) {
	all := penchanttest.Start(b, "all", b.TempDir())
	_, trackingID := penchanttest.TrackedGroup(b, all.API(), all.Bucket("penchant"), "bench")
	for _, c := range []struct{ events, clients int }{{1, 8}, {10, 8}, {1, 128}, {10, 128}} {
		events := c.events
		b.Run(fmt.Sprintf("events=%d/clients=%d", events, c.clients), func(b *testing.B) {
			api := all.API()
			var n atomic.Int64
			load(b, b.N, c.clients, func() error {
				call := n.Add(1)
				request := &personalizeevents.PutEventsRequest{
					TrackingId: &trackingID, UserId: new("user-" + strconv.FormatInt(call%5000, 10)),
					SessionId: new("s"),
				}
				for e := range events {
					request.EventList = append(request.EventList, personalizeevents.Event{
						EventType: new("view"), ItemId: new("item-" + strconv.Itoa((int(call)*7+e)%1000)),
						SentAt: awsapi.At(time.Now()),
					})
				}
				return api.Post(b.Context(), "/events", request, nil)
			})
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// recommendCalls is fixed, since the benchmark around it is run once.
const recommendCalls = 20_000

// BenchmarkMovieLens imports MovieLens 1M, trains the default recipe and asks for recommendations. Run it with
// -benchtime 1x.
func BenchmarkMovieLens(b *testing.B) {
	csv := movieLens(b)
	all := penchanttest.Start(b, "all", b.TempDir())
	store := catalog.NewStore(all.Bucket("penchant"), nil)
	group, _ := penchanttest.TrackedGroup(b, all.API(), all.Bucket("penchant"), "movies")
	if _, err := all.Bucket("movies").Put(b.Context(), "interactions.csv", csv, blob.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	call := func(operation string, in, out any) {
		if err := all.API().Call(b.Context(), operation, in, out); err != nil {
			b.Fatalf("%s: %v", operation, err)
		}
	}
	b.Run("import", func(b *testing.B) {
		rows := strings.Count(string(csv), "\n") - 1
		for n := range b.N {
			var job personalize.CreateDatasetImportJobResponse
			call("CreateDatasetImportJob", &personalize.CreateDatasetImportJobRequest{
				JobName: new(fmt.Sprintf("import-%d-%d", b.N, n)), RoleArn: new(roleARN),
				DatasetArn: new(strings.Replace(group.ARN, ":dataset-group/", ":dataset/", 1) + "/INTERACTIONS"),
				DataSource: &personalize.DataSource{DataLocation: new("s3://movies/interactions.csv")},
			}, &job)
			penchanttest.WaitActive[*catalog.DatasetImportJob](b, store, *job.DatasetImportJobArn)
		}
		b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(all.PeakMemory()/(1<<20), "peak-MiB")
	})
	var versionARN string
	b.Run("train", func(b *testing.B) {
		for n := range b.N {
			var solution personalize.CreateSolutionResponse
			call("CreateSolution", &personalize.CreateSolutionRequest{
				Name: new(fmt.Sprintf("solution-%d-%d", b.N, n)), DatasetGroupArn: &group.ARN,
				RecipeArn:           new("arn:aws:personalize:::recipe/aws-user-personalization"),
				PerformAutoTraining: new(false),
			}, &solution)
			penchanttest.WaitActive[*catalog.Solution](b, store, *solution.SolutionArn)
			var version personalize.CreateSolutionVersionResponse
			call("CreateSolutionVersion", &personalize.CreateSolutionVersionRequest{SolutionArn: solution.SolutionArn},
				&version)
			versionARN = penchanttest.WaitActiveFor[*catalog.SolutionVersion](b, 15*time.Minute, store,
				*version.SolutionVersionArn).ARN
		}
		b.ReportMetric(all.PeakMemory()/(1<<20), "peak-MiB")
	})
	var campaign personalize.CreateCampaignResponse
	call("CreateCampaign", &personalize.CreateCampaignRequest{Name: new("movies"), SolutionVersionArn: &versionARN,
		MinProvisionedTPS: new(int64(1))}, &campaign)
	penchanttest.WaitActive[*catalog.Campaign](b, store, *campaign.CampaignArn)
	b.Run("recommend", func(b *testing.B) {
		api := all.API()
		var n atomic.Int64
		load(b, recommendCalls, 8, func() error {
			var answer personalizeruntime.GetRecommendationsResponse
			return api.Post(b.Context(), "/recommendations", &personalizeruntime.GetRecommendationsRequest{
				CampaignArn: campaign.CampaignArn, UserId: new(strconv.FormatInt(1+n.Add(1)%6040, 10)),
			}, &answer)
		})
	})
}

// load makes the calls from so many clients at once and reports calls a second and latencies.
func load(b *testing.B, calls, clients int, call func() error) {
	b.Helper()
	took := make([][]time.Duration, clients)
	var next atomic.Int64
	b.ResetTimer()
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for next.Add(1) <= int64(calls) {
				started := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(started))
			}
		})
	}
	running.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	b.ReportMetric(float64(calls)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// movieLens returns the interactions of MovieLens 1M as plain CSV.
func movieLens(b *testing.B) []byte {
	file, err := os.Open("../../../../shared/data/ml-1m/interactions.csv.gz")
	if err != nil {
		b.Skip("the research data is not here (../shared/data)")
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		b.Fatal(err)
	}
	csv, err := io.ReadAll(unzipped)
	if err != nil {
		b.Fatal(err)
	}
	return csv
}
