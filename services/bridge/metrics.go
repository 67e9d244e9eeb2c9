package bridge

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of records.
const (
	forwarded  = "forwarded"
	passedOver = "passed_over"
	deadLetter = "dead_letter"
)

type metrics struct {
	records *prometheus.CounterVec
	events  prometheus.Counter
	calls   *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_bridge_records_total",
			Help: "Records of the source topics by what became of them: forwarded, passed_over or dead_letter. One whose events the tracker refuses counts as forwarded and as dead_letter.",
		}, []string{"topic", "outcome"}),
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "penchant_bridge_events_total",
			Help: "Events that the tracker has acknowledged, repeats included."}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_bridge_call_seconds",
			Help:    "PutEvents calls by how they ended: ok, refused (the events are wrong) or failed (and repeated).",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"result"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.records, m.events, m.calls} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) record(topic, outcome string) { m.records.WithLabelValues(topic, outcome).Inc() }

func (m *metrics) call(err error, took time.Duration) {
	result := "ok"
	switch {
	case isRefused(err):
		result = "refused"
	case err != nil:
		result = "failed"
	}
	m.calls.WithLabelValues(result).Observe(took.Seconds())
}
