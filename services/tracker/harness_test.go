package tracker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/tracker"
)

const (
	trackingID   = "11111111-2222-3333-4444-555555555555"
	trackerARN   = "arn:aws:personalize:us-east-1:000000000000:event-tracker/11111111"
	groupARN     = "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop"
	itemsARN     = "arn:aws:personalize:us-east-1:000000000000:dataset/shop/ITEMS"
	usersARN     = "arn:aws:personalize:us-east-1:000000000000:dataset/shop/USERS"
	creatingARN  = "arn:aws:personalize:us-east-1:000000000000:dataset/new/ITEMS"
	actionsARN   = "arn:aws:personalize:us-east-1:000000000000:dataset/shop/ACTIONS"
	actionSetARN = "arn:aws:personalize:us-east-1:000000000000:dataset/shop/ACTION_INTERACTIONS"
	// What a dataset of action interactions is named by, and one that is being created.
	actionTrackingID   = "66666666-7777-8888-9999-000000000000"
	creatingTrackingID = "77777777-7777-8888-9999-000000000000"
	interactions       = `{"type":"record","name":"Interactions","namespace":"n","version":"1.0","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"},
		{"name":"EVENT_VALUE","type":["null","float"]},{"name":"NUM_RATINGS","type":["null","int"]},{"name":"DEVICE","type":"string","categorical":true},
		{"name":"PRICE","type":["null","double"]},{"name":"BIG","type":["null","long"]},{"name":"GIFT","type":["null","boolean"]}]}`
	items = `{"type":"record","name":"Items","namespace":"n","version":"1.0","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"GENRES","type":"string","categorical":true},{"name":"PRICE","type":["null","float"]},
		{"name":"CREATION_TIMESTAMP","type":"long"}]}`
	users   = `{"type":"record","name":"Users","namespace":"n","version":"1.0","fields":[{"name":"USER_ID","type":"string"},{"name":"AGE","type":["null","int"]}]}`
	actions = `{"type":"record","name":"Actions","namespace":"n","version":"1.0","fields":[
		{"name":"ACTION_ID","type":"string"},{"name":"VALUE","type":["null","int"]},{"name":"MEMBERSHIP_LEVEL","type":"string","categorical":true},
		{"name":"CREATION_TIMESTAMP","type":"long"},{"name":"ACTION_EXPIRATION_TIMESTAMP","type":["null","long"]},{"name":"REPEAT_FREQUENCY","type":["null","int"]}]}`
	actionInteractions = `{"type":"record","name":"Action_Interactions","namespace":"n","version":"1.0","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ACTION_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"},
		{"name":"RECOMMENDATION_ID","type":["null","string"]},{"name":"CHANNEL","type":"string","categorical":true},{"name":"EVENT_VALUE","type":["null","float"]}]}`
)

var key = awsapi.Credential{AccessKeyID: "penchant", SecretKey: "penchant-secret"}

// directory knows one dataset group.
type directory map[string]*tracker.Stream

func newDirectory(t testing.TB) directory {
	t.Helper()
	parse := func(document string) *schema.Schema {
		s, err := schema.Parse(document, "")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return directory{
		trackingID:       {Topic: schema.Interactions.Topic("shop-1"), Source: trackerARN, Schema: parse(interactions)},
		itemsARN:         {Topic: schema.Items.Topic("shop-1"), Source: itemsARN, Schema: parse(items)},
		usersARN:         {Topic: schema.Users.Topic("shop-1"), Source: usersARN, Schema: parse(users)},
		actionsARN:       {Topic: schema.Actions.Topic("shop-1"), Source: actionsARN, Schema: parse(actions)},
		actionTrackingID: {Topic: schema.ActionInteractions.Topic("shop-1"), Source: actionSetARN, Schema: parse(actionInteractions)},
	}
}

func (d directory) Interactions(_ context.Context, id string) (*tracker.Stream, error) {
	if stream := d[id]; stream != nil && stream.Schema.Type == schema.Interactions {
		return stream, nil
	}
	return nil, awsapi.InvalidInput("unknown")
}

func (d directory) ActionInteractions(_ context.Context, id string) (*tracker.Stream, error) {
	if id == creatingTrackingID {
		return nil, awsapi.ResourceInUse("not yet")
	}
	if stream := d[id]; stream != nil && stream.Schema.Type == schema.ActionInteractions {
		return stream, nil
	}
	return nil, awsapi.ResourceNotFound("unknown")
}

func (d directory) Entities(_ context.Context, arn string, t schema.Type) (*tracker.Stream, error) {
	stream := d[arn]
	switch {
	case arn == creatingARN:
		return nil, awsapi.ResourceInUse("not yet")
	case stream == nil:
		return nil, awsapi.ResourceNotFound("unknown")
	case stream.Schema.Type != t:
		return nil, awsapi.InvalidInput("wrong type")
	}
	return stream, nil
}

func (d directory) Ready() error { return nil }

// eventLog keeps what is published, or fails.
type eventLog struct {
	mu      sync.Mutex
	records []bus.Record
	fail    error
}

func (l *eventLog) Publish(_ context.Context, records ...bus.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail == nil {
		l.records = append(l.records, records...)
	}
	return l.fail
}

func (l *eventLog) Ping(context.Context) error { return l.fail }

// take returns what was published since the last call.
func (l *eventLog) take() []bus.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.records
	l.records = nil
	return taken
}

func (l *eventLog) interaction(t *testing.T) reco.Interaction {
	t.Helper()
	records := l.take()
	if len(records) != 1 {
		t.Fatalf("%d records were published, want one", len(records))
	}
	i, err := wire.UnmarshalInteraction(records[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// fixture is a tracker behind a Router on HTTP.
type fixture struct {
	*httptest.Server
	log      *eventLog
	service  *tracker.Service
	registry *prometheus.Registry
	admit    error
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{log: &eventLog{}, registry: prometheus.NewRegistry()}
	var err error
	f.service, err = tracker.New(tracker.Config{
		Bus: f.log, Directory: newDirectory(t), Admit: func() error { return f.admit }, Log: zap.NewNop(), Registerer: f.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop()})
	f.service.Register(router)
	f.Server = httptest.NewServer(router)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		f.Close()
	})
	return f
}

// post signs and sends a body as it stands.
func (f *fixture) post(t *testing.T, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, f.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	awsapi.Sign(req, []byte(body), key, "us-east-1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

var errAway = errors.New("no broker answers")
