package awsapi_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
)

// TestMoreCallsThanCanBeWorkedOnAreRefused: the bound is the number of calls, not what they wait for.
func TestMoreCallsThanCanBeWorkedOnAreRefused(t *testing.T) {
	t.Parallel()
	router := awsapi.NewRouter(awsapi.RouterConfig{
		Credentials: []awsapi.Credential{key}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(), MaxCalls: 1,
	})
	entered, leave := make(chan struct{}), make(chan struct{})
	awsapi.HandlePath(router, "/events", "PutEvents", func(context.Context, *personalizeevents.PutEventsRequest) (*awsapi.Empty, error) {
		entered <- struct{}{}
		<-leave
		return nil, nil
	})
	call := func() int {
		body := []byte(`{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"view","sentAt":1}]}`)
		req := httptest.NewRequest("POST", "/events", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		awsapi.Sign(req, body, key, "us-east-1")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, req)
		if w.Code == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("the refusal does not say when to come again")
		}
		return w.Code
	}
	first := make(chan int)
	go func() { first <- call() }()
	<-entered
	if status := call(); status != 503 {
		t.Errorf("a second call is answered with %d", status)
	}
	leave <- struct{}{}
	if status := <-first; status != 200 {
		t.Errorf("the first call is answered with %d", status)
	}
	go func() { <-entered; leave <- struct{}{} }()
	if status := call(); status != 200 {
		t.Errorf("after the first has gone, a call is answered with %d", status)
	}
}
