package tracker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/schema"
)

// metrics are the tracker's instruments.
type metrics struct {
	acceptedTotal  *prometheus.CounterVec
	refusedTotal   *prometheus.CounterVec
	publishSeconds *prometheus.HistogramVec

	acceptedByType map[schema.Type]prometheus.Counter
	acknowledged   prometheus.Observer
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		acceptedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_tracker_events_accepted_total",
			Help: "Interactions, items, users and actions that were answered with 200: the event log has them.",
		}, []string{"kind"}),
		refusedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_tracker_events_refused_total",
			Help: "Interactions, items, users and actions that were refused; a call whose body breaks the API model counts as one.",
		}, []string{"kind", "reason"}),
		publishSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_tracker_publish_seconds",
			Help:    "Time from handing a call's records to the event log until all are acknowledged, or until it failed.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"outcome"}),
		acceptedByType: map[schema.Type]prometheus.Counter{},
	}
	if registerer != nil {
		registerer.MustRegister(m.acceptedTotal, m.refusedTotal, m.publishSeconds)
	}
	for _, t := range schema.Types() {
		m.acceptedByType[t] = m.acceptedTotal.WithLabelValues(t.Record())
	}
	m.acknowledged = m.publishSeconds.WithLabelValues("acknowledged")
	return m
}

func (m *metrics) accepted(t schema.Type, n int) { m.acceptedByType[t].Add(float64(n)) }

func (m *metrics) refused(t schema.Type, n int, err error) {
	m.refusedTotal.WithLabelValues(t.Record(), reasonOf(err)).Add(float64(n))
}

// countRefusals counts the calls that end before a handler sees them.
func (m *metrics) countRefusals(t schema.Type) awsapi.Option {
	return awsapi.OnRefusal(func(err *awsapi.Error) { m.refused(t, 1, err) })
}

func (m *metrics) published(took time.Duration, err error) {
	if err != nil {
		m.publishSeconds.WithLabelValues("failed").Observe(took.Seconds())
		return
	}
	m.acknowledged.Observe(took.Seconds())
}
