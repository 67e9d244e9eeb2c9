package tracker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/tracker"
)

// newRouter is a Router with a tracker that publishes to log.
func newRouter(t testing.TB, log tracker.EventLog) *awsapi.Router {
	service, err := tracker.New(tracker.Config{Bus: log, Directory: newDirectory(t), Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	router := awsapi.NewRouter(awsapi.RouterConfig{Credentials: []awsapi.Credential{key}, Log: zap.NewNop()})
	service.Register(router)
	return router
}

// Any body is answered with 200 or 400. After 200 the log holds one usable record for each event, after 400 none.
func FuzzPutEvents(f *testing.F) {
	for _, seed := range []string{
		call(click(``)), call(click(`,"eventValue":1,"impression":["a"]`), click(``)), call(withProperties(`{"device":"x","numRatings":1}`)),
		call(click(`,"properties":{"price":1.5}`)), call(), `{}`, `null`, `[]`, `"`, call(click(`,"sentAt":"2023-11-14T22:13:20Z"`)),
		call(withProperties(`{"itemId":1,"eventValue":"2"}`)), call(`null`), call(click(`,"metricAttribution":{"eventAttributionSource":"x"}`)),
		strings.Repeat(`{"eventList":[`, 50), call(click(`,"eventId":"\u0000\ud800"`)),
	} {
		f.Add([]byte(seed))
	}
	log := &eventLog{}
	router := newRouter(f, log)
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "http://localhost/events", bytes.NewReader(body))
		awsapi.Sign(req, body, key, "us-east-1")
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, req)
		published := log.take()
		switch answer.Code {
		case http.StatusOK:
			var sent struct{ EventList []json.RawMessage }
			if err := json.Unmarshal(body, &sent); err != nil || len(published) != len(sent.EventList) {
				t.Fatalf("%d records of %d events, %v", len(published), len(sent.EventList), err)
			}
			for _, record := range published {
				i, err := wire.UnmarshalInteraction(record.Value)
				if err != nil || i.Key() != string(record.Key) || !utf8.Valid(record.Key) || i.TimestampMS < 0 {
					t.Fatalf("record %+v: %v", i, err)
				}
			}
		case http.StatusBadRequest:
			if published != nil {
				t.Fatalf("%d records of a refused call", len(published))
			}
		default:
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		}
	})
}

// The same for the other bodies: any is answered with 200, 400 or 404, and after anything but 200 the log holds
// nothing.
func FuzzPutActionInteractions(f *testing.F) {
	for _, seed := range []string{
		actionCall(taken(``)), actionCall(taken(`,"impression":["a"]`), taken(`,"recommendationId":"r"`)), actionCall(takenWith(`{"channel":"x","eventValue":1}`)),
		actionCall(), `{}`, `null`, `[]`, `"`, actionCall(taken(`,"eventType":"Not Taken"`)), actionCall(taken(`,"timestamp":"2023-11-14T22:13:20Z"`)),
		actionCall(`null`), actionCall(taken(`,"eventId":"\u0000\ud800"`)), strings.Repeat(`{"actionInteractions":[`, 50),
	} {
		f.Add([]byte(seed))
	}
	log := &eventLog{}
	router := newRouter(f, log)
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzCall(t, router, log, "/action-interactions", body, func(value, key []byte) error {
			i, err := wire.UnmarshalActionInteraction(value)
			if err == nil && (i.Key() != string(key) || i.TimestampMS < 0) {
				err = fmt.Errorf("key %q, time %d", key, i.TimestampMS)
			}
			return err
		})
	})
}

func FuzzPutActions(f *testing.F) {
	full := action("join", `{"membershipLevel":"gold","creationTimestamp":1,"value":1,"repeatFrequency":7}`)
	for _, seed := range []string{
		putActions(actionsARN, full), putActions(actionsARN, full, full), putActions(actionsARN, action("", `{}`)), putActions(itemsARN, full), putActions(``),
		putActions(actionsARN, `null`), putActions(actionsARN, `{"actionId":"a","properties":{"membershipLevel":"x","creationTimestamp":1e3}}`), `{}`, `null`, `[`,
	} {
		f.Add([]byte(seed))
	}
	log := &eventLog{}
	router := newRouter(f, log)
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzCall(t, router, log, "/actions", body, func(value, key []byte) error {
			e, err := wire.UnmarshalEntity(value)
			if err == nil && e.ID != string(key) {
				err = fmt.Errorf("key %q of %q", key, e.ID)
			}
			return err
		})
	})
}

// fuzzCall sends a body and checks what was published.
func fuzzCall(t *testing.T, router http.Handler, log *eventLog, path string, body []byte, usable func(value, key []byte) error) {
	req := httptest.NewRequest(http.MethodPost, "http://localhost"+path, bytes.NewReader(body))
	awsapi.Sign(req, body, key, "us-east-1")
	answer := httptest.NewRecorder()
	router.ServeHTTP(answer, req)
	published := log.take()
	switch answer.Code {
	case http.StatusOK:
		if len(published) == 0 {
			t.Fatalf("200, and nothing was published")
		}
		for _, record := range published {
			if err := usable(record.Value, record.Key); err != nil || !utf8.Valid(record.Key) {
				t.Fatalf("record with key %q: %v", record.Key, err)
			}
		}
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict:
		if published != nil {
			t.Fatalf("%d records of a refused call", len(published))
		}
	default:
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
}
