package blob

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// brokenStore serves one object, of whose bodies the first few break off half-way.
func brokenStore(t *testing.T, content []byte, broken int64) *Bucket {
	t.Helper()
	var gets atomic.Int64
	modified := time.Unix(1_700_000_000, 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		if r.Method == http.MethodGet && gets.Add(1) <= broken {
			w = &halfWriter{ResponseWriter: w, left: 10}
		}
		http.ServeContent(w, r, "", modified, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	client, err := Open(Config{Endpoint: server.URL, AccessKey: "a", SecretKey: "b"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client.Bucket("bucket")
}

type halfWriter struct {
	http.ResponseWriter
	left int
}

func (w *halfWriter) Write(p []byte) (int, error) {
	_, _ = w.ResponseWriter.Write(p[:min(w.left, len(p))])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func TestBodiesThatBreakOffAreReadAgain(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 10)
	data, _, err := brokenStore(t, content, 2).Get(t.Context(), "key")
	if err != nil || !bytes.Equal(data, content) {
		t.Errorf("Get: %d bytes, %v", len(data), err)
	}
	r, _, err := brokenStore(t, content, 2).Open(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err = io.ReadAll(r); err != nil || !bytes.Equal(data, content) {
		t.Errorf("Read: %d bytes, %v", len(data), err)
	}
	if _, _, err := brokenStore(t, content, 1000).Get(t.Context(), "key"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a store that always breaks off: %v", err)
	}
}

func TestSilentConnectionsFail(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn := &idleTimeoutConn{Conn: ours, timeout: 20 * time.Millisecond}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading: %v", err)
	}
	if _, err := conn.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing: %v", err)
	}
}
