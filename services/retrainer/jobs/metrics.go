package jobs

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	jobs    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_retrainer_jobs_total",
			Help: "Jobs by type and by how this worker's part in them ended: active, failed, stopped, " +
				"handed back (the process ended), lost (another worker took over), broken (tried again).",
		}, []string{"type", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_retrainer_job_seconds",
			Help:    "Time that jobs ran in this worker, by type.",
			Buckets: prometheus.ExponentialBuckets(0.1, 3, 12),
		}, []string{"type"}),
	}
	for _, c := range []prometheus.Collector{m.jobs, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(name, outcome string, started time.Time) {
	m.jobs.WithLabelValues(name, outcome).Inc()
	m.seconds.WithLabelValues(name).Observe(time.Since(started).Seconds())
}
