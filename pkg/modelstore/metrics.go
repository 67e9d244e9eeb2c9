package modelstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type registryMetrics struct {
	loads   *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newRegistryMetrics(reg prometheus.Registerer, r *Registry) registryMetrics {
	m := registryMetrics{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_modelstore_loads_total",
			Help: "Model loads by outcome; after a failed one the last good model answers on.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "penchant_modelstore_load_seconds",
			Help:    "Time to fetch, verify, decode and warm up a model.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 9),
		}),
	}
	m.loads.WithLabelValues("ok")
	m.loads.WithLabelValues("failed")
	reg.MustRegister(m.loads, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "penchant_modelstore_campaigns",
			Help: "Campaigns and recommenders that are being served.",
		}, func() float64 { return float64(len(r.serving.Load().deployed)) }),
		ageCollector{r, prometheus.NewDesc("penchant_modelstore_model_age_seconds",
			"Time since the model that a campaign or recommender answers with was trained.", []string{"campaign"},
			nil)},
	)
	return m
}

func (m registryMetrics) observe(took time.Duration, err error) {
	if err != nil {
		m.loads.WithLabelValues("failed").Inc()
		return
	}
	m.loads.WithLabelValues("ok").Inc()
	m.seconds.Observe(took.Seconds())
}

// ageCollector reports the age of what is served at the moment of the scrape, so that campaigns that are gone leave no
// series behind.
type ageCollector struct {
	registry *Registry
	desc     *prometheus.Desc
}

func (c ageCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c ageCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.registry.All() {
		age := c.registry.now().Sub(s.Loaded.Manifest.Trained).Seconds()
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, age, s.Name())
	}
}
