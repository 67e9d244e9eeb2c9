package tracker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
)

// acknowledging takes everything at once: what remains is the cost of the call itself.
type acknowledging struct{}

func (acknowledging) Publish(context.Context, ...bus.Record) error { return nil }
func (acknowledging) Ping(context.Context) error                   { return nil }

type discarding struct {
	header http.Header
	status int
}

func (d *discarding) Header() http.Header         { return d.header }
func (d *discarding) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarding) WriteHeader(status int)      { d.status = status }

// BenchmarkPutEvents is the CPU time of a signed call between net/http and Kafka.
func BenchmarkPutEvents(b *testing.B) {
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			router := newRouter(b, acknowledging{})
			event := withProperties(`{"device":"phone","price":9.5}`)
			body := []byte(call(strings.Split(strings.TrimSuffix(strings.Repeat(event+"|", n), "|"), "|")...))
			req := httptest.NewRequest(http.MethodPost, "http://localhost/events", nil)
			req.Header.Set("Content-Type", "application/json")
			req.ContentLength = int64(len(body))
			awsapi.Sign(req, body, key, "us-east-1")
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				req.Body = io.NopCloser(bytes.NewReader(body))
				answer := &discarding{header: http.Header{}}
				router.ServeHTTP(answer, req)
				if answer.status != http.StatusOK {
					b.Fatalf("status %d", answer.status)
				}
			}
		})
	}
}
