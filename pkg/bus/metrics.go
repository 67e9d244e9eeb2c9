package bus

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// publishMetrics count what Publish did.
type publishMetrics struct {
	registerer prometheus.Registerer
	mine       []prometheus.Collector // those this client registered
	records    *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newPublishMetrics(registerer prometheus.Registerer, c *Client) (*publishMetrics, error) {
	m := &publishMetrics{
		registerer: registerer,
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_bus_published_records_total",
			Help: "Records given to the event log, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_bus_publish_seconds",
			Help:    "Time until the event log acknowledged a call's records, or the call failed.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"outcome"}),
	}
	var err error
	if m.records, err = registerOrJoin(m, m.records); err != nil {
		return nil, err
	}
	if m.seconds, err = registerOrJoin(m, m.seconds); err != nil {
		return nil, err
	}
	buffered := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "penchant_bus_buffered_records",
		Help:        "Records that wait for the event log's acknowledgement.",
		ConstLabels: prometheus.Labels{"client": c.cfg.ClientID},
	}, func() float64 { return float64(c.bufferedRecords.Load()) })
	if _, err := registerOrJoin(m, prometheus.Collector(buffered)); err != nil {
		return nil, err
	}
	return m, nil
}

// registerOrJoin registers the collector or, when another client of this process has already, returns that one's.
func registerOrJoin[C prometheus.Collector](m *publishMetrics, collector C) (C, error) {
	err := m.registerer.Register(collector)
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) {
		if existing, ok := taken.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	if err == nil {
		m.mine = append(m.mine, collector)
	}
	return collector, err
}

func (m *publishMetrics) observe(records int, took time.Duration, err error) {
	outcome := "acknowledged"
	switch {
	case errors.Is(err, ErrOverloaded):
		outcome = "overloaded"
	case err != nil:
		outcome = "failed"
	}
	m.records.WithLabelValues(outcome).Add(float64(records))
	m.seconds.WithLabelValues(outcome).Observe(took.Seconds())
}

func (m *publishMetrics) unregister() {
	for _, collector := range m.mine {
		m.registerer.Unregister(collector)
	}
}
