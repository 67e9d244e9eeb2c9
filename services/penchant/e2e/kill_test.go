package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestKillNineLosesNothing kills `penchant all` again and again in the middle of a stream of numbered events. At the
// end every acknowledged event stands in the archive exactly once, every other at most once, and each user's recent
// interactions are what a run without a fault would hold.
func TestKillNineLosesNothing(t *testing.T) {
	kills, between := 2, 700*time.Millisecond
	if os.Getenv("PENCHANT_TEST_LONG") != "" {
		kills, between = 10, 2*time.Second
	} else if testing.Short() {
		t.Skip("starts processes")
	}
	process := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=500ms")
	group, trackingID := penchanttest.TrackedGroup(t, process.API(), process.Bucket("penchant"), "numbered")

	sender := &penchanttest.Sender{TrackingID: trackingID}
	for range kills {
		ctx, stop := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		for lane := range 4 {
			api := process.API()
			sending.Go(func() { sender.Stream(ctx, func() *awsapi.Client { return api }, lane) })
		}
		// A kill at a random moment: in a fold, an upload, a commit, or between them.
		if err := penchanttest.Pause(ctx, between+time.Duration(rand.Int64N(int64(between)))); err != nil {
			t.Fatal(err)
		}
		process.Kill()
		stop()
		sending.Wait()
		process.Restart()
		process.AwaitReady(time.Minute)
	}
	sent, acknowledged := sender.Counts()
	t.Logf("%d kills, %d events sent, %d acknowledged", kills, sent, acknowledged)
	if acknowledged < 100*kills {
		t.Fatalf("only %d events were acknowledged: the test proves little", acknowledged)
	}
	bucket := process.Bucket("penchant")
	sender.CheckArchive(t, bucket, group.GroupKey(), time.Minute)
	penchanttest.CheckStates(t, bucket, group.GroupKey(), penchanttest.OpenUsers(t, process.Endpoints["redis"]),
		time.Minute)
	process.Terminate()
}
