package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/operator"
)

// bridgeCheckCmd tries a mapping.
type bridgeCheckCmd struct {
	Mapping    string `env:"-" required:"" type:"existingfile" placeholder:"FILE" help:"Mapping file."`
	TrackingID string `env:"-" name:"tracking-id" placeholder:"ID" default:"TRACKING-ID" help:"Tracking id to show in the calls."`
}

// Run reads standard input.
func (c *bridgeCheckCmd) Run(ctx context.Context) error { return c.check(ctx, os.Stdin, os.Stdout) }

// checked is the outcome of a line.
type checked struct {
	Line int `json:"line"`
	// Outcome is sent, passed over or dead letter; Reason is that of a dead letter.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// PutEvents has one call for each event; the bridge puts those of a session together.
	PutEvents []personalizeevents.PutEventsRequest `json:"putEvents,omitempty"`
}

// longestLine is the largest record that Kafka takes by default, and some.
const longestLine = 4 << 20

func (c *bridgeCheckCmd) check(ctx context.Context, in io.Reader, out io.Writer) error {
	mapping, err := bridge.ReadMapping(c.Mapping)
	if err != nil {
		return unfinishedError{err}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	dead, read := 0, 0
	for n := 1; lines.Scan() && ctx.Err() == nil; n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		read++
		line := c.checkLine(mapping, n, lines.Bytes())
		if line.Reason != "" {
			dead++
		}
		if err := encoder.Encode(line); err != nil {
			return unfinishedError{fmt.Errorf("writing what became of line %d: %w", n, err)}
		}
	}
	switch {
	case lines.Err() != nil:
		return unfinishedError{fmt.Errorf("reading standard input: %w", lines.Err())}
	case read == 0:
		return unfinishedError{errors.New("standard input has no record")}
	case dead > 0:
		return fmt.Errorf("%w: %d of %d records can't become events", operator.ErrProblems, dead, read)
	}
	return nil
}

// checkLine maps the record of line n.
func (c *bridgeCheckCmd) checkLine(mapping *bridge.Mapping, n int, text []byte) checked {
	line := checked{Line: n, Outcome: "sent"}
	events, err := mapping.Events(&bus.Record{Value: text, Offset: int64(n - 1), Arrival: time.Now()})
	switch {
	case err != nil:
		line.Outcome, line.Reason = "dead letter", err.Error()
	case len(events) == 0:
		line.Outcome = "passed over"
	}
	for _, e := range events {
		line.PutEvents = append(line.PutEvents, personalizeevents.PutEventsRequest{
			TrackingId: &c.TrackingID, UserId: awsapi.Present(e.UserID), SessionId: &e.SessionID,
			EventList: []personalizeevents.Event{e.Event},
		})
	}
	return line
}
