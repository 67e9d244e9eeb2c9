package training

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	trained *prometheus.GaugeVec
	damaged prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		trained: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "penchant_retrainer_trained_timestamp_seconds",
			Help: "When this worker last finished a training, by recipe.",
		}, []string{"recipe"}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_retrainer_damaged_files_total",
			Help: "Archive files that trainings did without because they could not be decoded, " +
				"counted by each training.",
		}),
	}
	for _, c := range []prometheus.Collector{m.trained, m.damaged} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
