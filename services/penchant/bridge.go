package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/operator"
)

// BridgeCmd makes events of the records of a web server's own topic.
type BridgeCmd struct {
	Run   BridgeRunCmd   `cmd:"" default:"withargs" help:"Read the topics, and put what the mapping makes of their records."`
	Check BridgeCheckCmd `cmd:"" help:"Show what a mapping makes of the records on standard input, one JSON object a line."`
}

// BridgeSettings is what a bridge is told beside the settings of the targets.
type BridgeSettings struct {
	Topics          []string `name:"bridge-topics" required:"" placeholder:"NAME,…" help:"Topics to read, separated by commas."`
	Mapping         string   `name:"bridge-mapping" required:"" type:"path" placeholder:"FILE" help:"Mapping file."`
	TrackingID      string   `name:"bridge-tracking-id" required:"" placeholder:"ID" help:"Event tracker whose events they become."`
	Endpoint        string   `name:"bridge-endpoint" default:"http://127.0.0.1:8080" help:"Where PutEvents is called; signed with the first pair of --access-keys."`
	Group           string   `name:"bridge-group" default:"${bridge_group}" help:"Kafka consumer group: one for each mapping. Lags are shown of those that begin with ${bridge_group}."`
	From            string   `name:"bridge-from" enum:"earliest,latest" default:"earliest" help:"Where a group begins that has read nothing yet: earliest or latest."`
	DeadLetterTopic string   `name:"bridge-dead-letter-topic" help:"Topic of the records that can't become events. Default: <topic>.penchant-deadletter."`
	Concurrency     int      `name:"bridge-concurrency" default:"16" help:"Calls that are under way at once."`
}

// Validate says which setting is wrong. kong calls it after parsing.
func (s *BridgeSettings) Validate() error {
	if u, err := url.Parse(s.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--bridge-endpoint %q: it is http://host:port or https://host:port", s.Endpoint)
	}
	if len(s.Topics) == 0 || slices.Contains(s.Topics, "") {
		return errors.New("--bridge-topics: it names the topics to read")
	}
	if s.TrackingID == "" {
		return errors.New("--bridge-tracking-id: it is the tracking id that CreateEventTracker gave")
	}
	if s.Concurrency < 1 {
		return fmt.Errorf("--bridge-concurrency %d: it is at least 1", s.Concurrency)
	}
	return nil
}

// BridgeRunCmd runs the bridge.
type BridgeRunCmd struct {
	Bridge   BridgeSettings `embed:""`
	Settings `group:"Settings, as of the targets:"`
}

// Run forwards until ctx ends.
func (c *BridgeRunCmd) Run(ctx context.Context) error {
	log, err := c.logger()
	if err != nil {
		return err
	}
	mapping, err := readMapping(c.Bridge.Mapping)
	if err != nil {
		return err
	}
	app, err := newApp(ctx, &c.Settings, bridgeTarget, log)
	if err != nil {
		return err
	}
	app.bridge = &bridgeParts{&c.Bridge, mapping, awsapi.NewClient(c.Bridge.Endpoint, app.credentials[0], c.Region)}
	return app.Run(ctx)
}

// bridgeParts is what a process of bridgeTarget has beside what other targets have.
type bridgeParts struct {
	settings *BridgeSettings
	mapping  *bridge.Mapping
	tracker  *awsapi.Client
}

func (a *app) newBridge(log *zap.Logger) (*bridge.Service, error) {
	b := a.bridge
	return bridge.New(bridge.Config{
		Bus: a.bus, Topics: b.settings.Topics, Group: b.settings.Group, FromLatest: b.settings.From == "latest", DeadLetterTopic: b.settings.DeadLetterTopic,
		Mapping: b.mapping, Tracker: b.tracker, TrackingID: b.settings.TrackingID, Concurrency: b.settings.Concurrency, Log: log, Registerer: a.metrics,
	})
}

func readMapping(path string) (*bridge.Mapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return bridge.ParseMapping(text)
}

// BridgeCheckCmd tries a mapping.
type BridgeCheckCmd struct {
	Mapping    string `env:"-" required:"" type:"existingfile" placeholder:"FILE" help:"Mapping file."`
	TrackingID string `env:"-" name:"tracking-id" placeholder:"ID" default:"TRACKING-ID" help:"Tracking id to show in the calls."`
}

// Run reads standard input.
func (c *BridgeCheckCmd) Run(ctx context.Context) error { return c.check(ctx, os.Stdin, os.Stdout) }

// checked is what became of a line.
type checked struct {
	Line int `json:"line"`
	// Outcome is sent, passed over or dead letter; Reason says why the last.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// PutEvents has one call for each event; the bridge puts those of a session together.
	PutEvents []personalizeevents.PutEventsRequest `json:"putEvents,omitempty"`
}

// longestLine is the largest record that Kafka takes by default, and some.
const longestLine = 4 << 20

func (c *BridgeCheckCmd) check(ctx context.Context, in io.Reader, out io.Writer) error {
	mapping, err := readMapping(c.Mapping)
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
		record := bus.Record{Value: lines.Bytes(), Offset: int64(n - 1), Arrival: time.Now()}
		line := checked{Line: n, Outcome: "sent"}
		switch events, err := mapping.Events(&record); {
		case err != nil:
			line.Outcome, line.Reason = "dead letter", err.Error()
			dead++
		case len(events) == 0:
			line.Outcome = "passed over"
		default:
			for _, e := range events {
				line.PutEvents = append(line.PutEvents, personalizeevents.PutEventsRequest{
					TrackingId: &c.TrackingID, UserId: awsapi.Present(e.UserID), SessionId: &e.SessionID, EventList: []personalizeevents.Event{e.Event},
				})
			}
		}
		if err := encoder.Encode(line); err != nil {
			return unfinishedError{fmt.Errorf("writing what became of line %d: %w", n, err)}
		}
	}
	switch {
	case lines.Err() != nil:
		return unfinishedError{fmt.Errorf("reading standard input: %w", lines.Err())}
	case read == 0:
		return unfinishedError{errors.New("there is no record on standard input")}
	case dead > 0:
		return fmt.Errorf("%w: %d of %d records can't become events", operator.ErrProblems, dead, read)
	}
	return nil
}
