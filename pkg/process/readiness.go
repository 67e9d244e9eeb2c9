package process

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// ReadinessCollector makes a gauge of what /healthz/ready says: an alert needs no prober of its own. services is asked
// at each scrape.
func ReadinessCollector(services func() []Service) prometheus.Collector {
	return readinessCollector{services, prometheus.NewDesc("penchant_ready",
		"Whether the service can do its work: 1, or 0 for a reason that /healthz/ready gives.", []string{"service"}, nil)}
}

type readinessCollector struct {
	services func() []Service
	desc     *prometheus.Desc
}

func (c readinessCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c readinessCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for _, s := range c.services() {
		ready := 0.0
		if s.Ready(ctx) == nil {
			ready = 1
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, ready, s.Name())
	}
}
