package firehose

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
)

// proxy stands between a client and the bucket and breaks the connection on demand.
type proxy struct {
	bucket *blob.Bucket
	mode   atomic.Int32
}

const (
	there int32 = iota
	away        // nothing arrives
	mute        // requests arrive, answers do not
)

func newProxy(t *testing.T, e environment) *proxy {
	t.Helper()
	target, err := url.Parse(e.S3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ModifyResponse: func(*http.Response) error {
			if p.mode.Load() == mute {
				panic(http.ErrAbortHandler)
			}
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.mode.Load() == away {
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	config := e.S3
	config.Endpoint = server.URL
	client, err := blob.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p.bucket = client.Bucket(e.Bucket)
	return p
}
