package retrainer

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	jobs        *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	trained     *prometheus.GaugeVec
	damaged     prometheus.Counter
	experiments *experimentMetrics
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_retrainer_jobs_total",
			Help: "Jobs by type and by how this worker's part in them ended: active, failed, stopped, handed back (the process ended), lost (another worker took over), broken (tried again).",
		}, []string{"type", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_retrainer_job_seconds",
			Help:    "Time that jobs ran in this worker, by type.",
			Buckets: prometheus.ExponentialBuckets(0.1, 3, 12),
		}, []string{"type"}),
		trained: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "penchant_retrainer_trained_timestamp_seconds",
			Help: "When this worker last finished a training, by recipe.",
		}, []string{"recipe"}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_retrainer_damaged_files_total",
			Help: "Archive files that trainings did without because they could not be decoded, counted by each training.",
		}),
	}
	for _, c := range []prometheus.Collector{m.jobs, m.seconds, m.trained, m.damaged} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	var err error
	m.experiments, err = newExperimentMetrics(reg)
	return m, err
}
