package blob_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestTheStoresClockIsCompared(t *testing.T) {
	t.Parallel()
	cfg, _ := embeddedtest.S3(t)
	skew, err := open(t, cfg).Skew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if skew.Abs() > 3*time.Second {
		t.Errorf("the embedded store, on the same clock, is ahead by %s", skew)
	}
}

func TestAStoreThatIsAheadIsNoticed(t *testing.T) {
	t.Parallel()
	ahead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(ahead.Close)
	skew, err := open(t, blob.Config{Endpoint: ahead.URL}).Skew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if (skew - time.Hour).Abs() > 3*time.Second {
		t.Errorf("got %s, want an hour", skew)
	}
}
