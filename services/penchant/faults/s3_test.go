package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

const (
	startLimit   = 2 * time.Minute
	recoverLimit = time.Minute // for an archive or a state to be complete after the last fault
)

// TestArchiveSurvivesAStoreThatFails (promise 1): while events stream in, the store refuses, is overloaded, goes away,
// loses its answers and breaks off uploads. Every acknowledged event is archived once all the same, and none twice.
func TestArchiveSurvivesAStoreThatFails(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	store := penchanttest.StartS3Proxy(t, servers.S3)
	stack := start(t, servers.Settings(), 1, "control", "tracker")
	bucket := servers.OpenBucket(t, "")
	group, trackingID := penchanttest.TrackedGroup(t, stack.one("control").API(), bucket, "store-fails")

	throughProxy := servers
	throughProxy.S3 = store.Config
	firehose := penchanttest.Start(t, "firehose", t.TempDir(),
		append(throughProxy.Settings(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=200ms")...)

	sender := &penchanttest.Sender{TrackingID: trackingID}
	ctx, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	for lane := range 4 {
		sending.Go(func() { sender.Stream(ctx, always(stack.one("tracker").API()), lane) })
	}
	eventually.SucceedsWithin(t, startLimit, "the firehose archives", func() error {
		return exceeds(firehose, "penchant_firehose_records_total", 0)
	})
	for _, fault := range []struct {
		name  string
		fault penchanttest.S3Fault
	}{
		{"refused", penchanttest.Refuse(http.StatusForbidden, "AccessDenied")},
		{"overloaded", penchanttest.Refuse(http.StatusServiceUnavailable, "SlowDown")},
		{"uploads lose their answer", penchanttest.On(http.MethodPut, "/archive/", penchanttest.LoseAnswer)},
		{"away", penchanttest.Away},
	} {
		before, err := firehose.Metric("penchant_firehose_errors_total")
		if err != nil {
			t.Fatal(err)
		}
		store.Fail(fault.fault)
		eventually.SucceedsWithin(t, startLimit, "the firehose meets a store that is "+fault.name, func() error {
			return exceeds(firehose, "penchant_firehose_errors_total", before)
		})
		store.Mend()
	}
	stop()
	sending.Wait()
	sender.CheckArchive(t, bucket, group.GroupKey(), recoverLimit)
	firehose.Terminate()
	stack.terminate()
}
