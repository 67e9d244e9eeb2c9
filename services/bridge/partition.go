package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/backoff"
	"github.com/penchant-io/penchant/pkg/bus"
)

const (
	// chunkRecords are worked on together: what is lost of the work when the process is killed.
	chunkRecords = 500
	// maxEventsOfCall is PutEvents' own bound.
	maxEventsOfCall = 10
	unknown         = -1
)

// partition makes events of one partition's records, chunk by chunk: map all of a chunk, send what it became, and only
// then go on.
type partition struct {
	bus.Assignment
	service *Service
	// next is the offset before which every record is done with.
	next int64
	// owned ends when the partition is to be given up: a call under way may end well then, but none is tried again.
	owned context.Context
}

// Start implements bus.PartitionConsumer.
func (p *partition) Start(owned context.Context) (int64, error) {
	p.owned = owned
	switch {
	case p.next != unknown:
	case p.Committed >= 0:
		p.next = p.Committed
	case p.service.config.From == fromLatest:
		p.next = p.End
	default:
		p.next = p.Assignment.Start
	}
	return p.next, nil
}

// Handle implements bus.PartitionConsumer. When it is given the same records again, it goes on with the first chunk
// that is not done.
func (p *partition) Handle(ctx context.Context, batch []bus.Record) (int64, error) {
	for chunk := range slices.Chunk(batch, chunkRecords) {
		last := chunk[len(chunk)-1].Offset
		if last < p.next {
			continue
		}
		if err := p.forward(ctx, slices.DeleteFunc(slices.Clone(chunk),
			func(r bus.Record) bool { return r.Offset < p.next })); err != nil {
			return bus.NoCommit, err
		}
		p.next = last + 1
	}
	return p.next, nil
}

// Stop implements bus.PartitionConsumer.
func (p *partition) Stop(context.Context) (int64, error) {
	if p.next == unknown {
		return bus.NoCommit, nil
	}
	return p.next, nil
}

// mapped is an event and the record that it was.
type mapped struct {
	Event
	record *bus.Record
}

// forward returns nil when each record is acknowledged as events, passed over, or among the dead letters. The error is
// that of a context.
func (p *partition) forward(ctx context.Context, records []bus.Record) error {
	// The events of a user, or of an anonymous session, go one after the other; those of different ones beside each
	// other.
	lanes := map[string][]mapped{}
	for i := range records {
		r := &records[i]
		events, err := p.service.config.Mapping.Events(r)
		if err != nil {
			if err := p.bury(ctx, r, err); err != nil {
				return err
			}
			continue
		}
		if len(events) == 0 {
			p.service.metrics.record(r.Topic, passedOver)
			continue
		}
		p.service.metrics.record(r.Topic, forwarded)
		for _, event := range events {
			lane := "user " + event.UserID
			if event.UserID == "" {
				lane = "session " + event.SessionID
			}
			lanes[lane] = append(lanes[lane], mapped{event, r})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.service.config.Concurrency)
	for _, lane := range lanes {
		group.Go(func() error {
			for _, call := range callsOf(lane) {
				if err := p.send(ctx, call); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// callsOf cuts a lane into calls: a call has the events of one session.
func callsOf(lane []mapped) (calls [][]mapped) {
	begin := 0
	for n := 1; n <= len(lane); n++ {
		if n == len(lane) || n-begin == maxEventsOfCall || lane[n].SessionID != lane[begin].SessionID || lane[n].UserID != lane[begin].UserID {
			calls = append(calls, lane[begin:n])
			begin = n
		}
	}
	return calls
}

// send returns nil when the tracker has acknowledged the events, or has refused them one by one for what they are.
// While it is away, or refuses the caller, it is tried again.
func (p *partition) send(ctx context.Context, call []mapped) error {
	request := requestOf(p.service.config.TrackingID, call)
	for attempt := 0; ; attempt++ {
		err := p.post(ctx, request)
		switch {
		case err == nil:
			if p.service.reached(nil) {
				p.service.config.Log.Info("the tracker takes events again")
			}
			p.service.metrics.events.Add(float64(len(call)))
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case isRefused(err) && len(call) > 1:
			// A call is refused whole: alone, the good ones are taken.
			for n := range call {
				if err := p.send(ctx, call[n:n+1]); err != nil {
					return err
				}
			}
			return nil
		case isRefused(err):
			return p.bury(ctx, call[0].record, err)
		}
		if p.service.reached(err) {
			p.service.config.Log.Warn("the tracker does not take events; they are sent again until it does",
				zap.Error(err))
		}
		wait := retryPace.Delay(attempt)
		var stated *awsapi.Error
		if errors.As(err, &stated) {
			wait = max(wait, min(stated.RetryAfter, retryPace.Max))
		}
		if backoff.Sleep(p.owned, wait) != nil {
			return p.owned.Err()
		}
	}
}

func requestOf(trackingID string, call []mapped) *personalizeevents.PutEventsRequest {
	request := &personalizeevents.PutEventsRequest{TrackingId: &trackingID, UserId: awsapi.Present(call[0].UserID),
		SessionId: &call[0].SessionID}
	for n := range call {
		request.EventList = append(request.EventList, call[n].Event.Event)
	}
	return request
}

// post makes one call, when there are few enough under way.
func (p *partition) post(ctx context.Context, request *personalizeevents.PutEventsRequest) error {
	select {
	case p.service.calls <- struct{}{}:
		defer func() { <-p.service.calls }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	err := p.service.config.Tracker.Post(ctx, "/events", request, nil)
	p.service.metrics.call(err, time.Since(began))
	return err
}

// isRefused distinguishes what is wrong with the events from what is wrong with the bridge (a tracker that does not
// exist, a key that is not known) or with the tracker: only the former is a reason to put records aside.
func isRefused(err error) bool {
	var stated *awsapi.Error
	if !errors.As(err, &stated) {
		return false
	}
	switch stated.Code {
	case awsapi.CodeInvalidInput, awsapi.CodeValidation, awsapi.CodeSerialization, awsapi.CodeRequestTooLarge:
		return true
	}
	return stated.Status == http.StatusRequestEntityTooLarge
}

// bury puts a record among the dead letters. It returns nil once it is there; the error is that of a context.
func (p *partition) bury(ctx context.Context, r *bus.Record, reason error) error {
	letter := bus.Record{
		Topic: p.service.deadLetterTopic(r.Topic), Key: r.Key, Value: r.Value,
		Headers: append(slices.Clip(r.Headers),
			bus.Header{Key: "penchant-reason", Value: []byte(reason.Error())},
			bus.Header{Key: "penchant-consumer", Value: []byte(p.service.config.Group)},
			bus.Header{Key: "penchant-topic", Value: []byte(r.Topic)},
			bus.Header{Key: "penchant-partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
			bus.Header{Key: "penchant-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		),
	}
	for attempt := 0; ; attempt++ {
		err := p.service.config.Bus.Publish(ctx, letter)
		switch {
		case errors.Is(err, bus.ErrRecordTooLarge) && len(letter.Value) > 0:
			// With its headers it is larger than it was; the record itself is where the headers point.
			letter.Value = nil
			continue
		case err == nil:
			p.service.metrics.record(r.Topic, deadLetter)
			p.service.config.Log.Warn("a record can't become an event; it is among the dead letters",
				zap.String("topic", r.Topic), zap.Int32("partition", r.Partition), zap.Int64("offset",
					r.Offset), zap.NamedError("reason", reason))
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p.service.config.Log.Error("the dead-letter topic does not take a record, which is repeated",
			zap.Error(fmt.Errorf("publishing a dead letter: %w", err)))
		if retryPace.Wait(p.owned, attempt) != nil {
			return p.owned.Err()
		}
	}
}
