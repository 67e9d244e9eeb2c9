package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// long is whether outages last as long as in production rather than just long enough.
var long = os.Getenv("PENCHANT_TEST_LONG") != ""

// pipeline is an installation that takes the events of one dataset group, and the client that sends them.
type pipeline struct {
	servers penchanttest.Servers
	stack   installation
	bucket  *blob.Bucket
	sender  *penchanttest.Sender
	group   string // its key
}

// startPipeline starts a control, a tracker and so many replicas of each of the others, and makes a dataset group.
func startPipeline(t *testing.T, servers penchanttest.Servers, replicas int, others ...string) *pipeline {
	t.Helper()
	stack := installation{}
	launch := func(target string) {
		stack[target] = append(stack[target], penchanttest.Launch(t, target, t.TempDir(), servers.Settings()...))
	}
	launch("control")
	launch("tracker")
	for _, target := range others {
		for range replicas {
			launch(target)
		}
	}
	stack.awaitReady()
	p := &pipeline{servers: servers, stack: stack, bucket: servers.OpenBucket(t, "")}
	group, trackingID := penchanttest.TrackedGroup(t, stack.one("control").API(), p.bucket, "numbered")
	p.group, p.sender = group.GroupKey(), &penchanttest.Sender{TrackingID: trackingID}
	return p
}

func (i installation) awaitReady() {
	for _, processes := range i {
		for _, process := range processes {
			process.AwaitReady(startLimit)
		}
	}
}

// topic is the one of the group's interactions.
func (p *pipeline) topic() string { return schema.Interactions.Topic(p.group) }

// stream sends events from a few clients at once, each call to any of the trackers, until stop is called.
func (p *pipeline) stream(t *testing.T) (stop func()) {
	var clients []*awsapi.Client
	for _, tracker := range p.stack["tracker"] {
		clients = append(clients, tracker.API())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	for lane := range 4 {
		sending.Go(func() {
			p.sender.Stream(ctx, func() *awsapi.Client { return clients[rand.IntN(len(clients))] }, lane)
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		sending.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// flow waits until so many more events are acknowledged.
func (p *pipeline) flow(t *testing.T, limit time.Duration, events int) {
	t.Helper()
	_, before := p.sender.Counts()
	eventually.SucceedsWithin(t, limit, "events are acknowledged", func() error {
		if _, now := p.sender.Counts(); now < before+events {
			return fmt.Errorf("%d of %d are", now-before, events)
		}
		return nil
	})
}

// check waits until archive and user states are those of a run without faults. Nothing may be sent meanwhile.
func (p *pipeline) check(t *testing.T) {
	t.Helper()
	p.sender.CheckArchive(t, p.bucket, p.group, recoverLimit)
	if p.servers.RedisURL != "" && len(p.stack["session-updater"]) > 0 {
		penchanttest.CheckStates(t, p.bucket, p.group, penchanttest.OpenUsers(t, p.servers.RedisURL), recoverLimit)
	}
}

// unavailable makes a call and returns nil if it is answered as it has to be while the event log is away.
func (p *pipeline) unavailable(ctx context.Context, api *awsapi.Client) error {
	switch err := p.sender.SendOnce(ctx, api, 0, 1); {
	case err == nil:
		return errors.New("the event is acknowledged")
	case !isUnavailable(err):
		return err
	}
	return nil
}

// isUnavailable says whether a call was answered with 503 and Retry-After.
func isUnavailable(err error) bool {
	var answer *awsapi.Error
	return errors.As(err, &answer) && answer.Status == http.StatusServiceUnavailable && answer.RetryAfter > 0
}

// openLog opens the event log as the test's own client.
func openLog(t *testing.T, servers penchanttest.Servers) (*bus.Client, *kadm.Client) {
	t.Helper()
	log, err := bus.Open(t.Context(), bus.Config{Brokers: servers.KafkaBrokers, ClientID: "faults"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(servers.KafkaBrokers...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	return log, kadm.NewClient(kafka)
}
