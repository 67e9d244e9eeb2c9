package tracker

import (
	"context"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/schema"
)

// envelope is what the records of one call say about themselves to any consumer: CloudEvents attributes in binary mode,
// the version of the format, and the trace that they belong to.
type envelope struct{ eventType, source, traceParent []byte }

func newEnvelope(ctx context.Context, t schema.Type, source string) envelope {
	return envelope{
		eventType:   []byte("penchant." + t.Record() + ".v1"),
		source:      []byte(source),
		traceParent: []byte(awsapi.TraceParent(ctx)),
	}
}

var (
	contentType   = []byte("application/protobuf")
	specVersion   = []byte("1.0")
	formatVersion = []byte("1")
)

// headers are those of the record with an id, about something that happened at a time.
func (e envelope) headers(id string, at time.Time) []bus.Header {
	return []bus.Header{
		{Key: "content-type", Value: contentType},
		{Key: "ce_specversion", Value: specVersion},
		{Key: "ce_id", Value: []byte(id)},
		{Key: "ce_type", Value: e.eventType},
		{Key: "ce_source", Value: e.source},
		{Key: "ce_time", Value: at.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00")},
		{Key: "penchant-format", Value: formatVersion},
		{Key: "traceparent", Value: e.traceParent},
	}
}
