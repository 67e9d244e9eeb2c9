package awsapi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// codeOK is the code under which successful calls are counted.
const codeOK = "OK"

// metrics are a Router's instruments.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	// unknown counts calls for operations that nobody registered.
	unknown *operationMetrics
}

// operationMetrics are the instruments of one operation, found once.
type operationMetrics struct {
	requests *prometheus.CounterVec
	ok       prometheus.Counter
	seconds  prometheus.Observer
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_api_requests_total",
			Help: "API calls by operation and by error code, OK for successful ones.",
		}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_api_request_seconds",
			Help:    "Time from a call's header to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10},
		}, []string{"operation"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.requests, m.seconds)
	}
	m.unknown = m.operation("unknown")
	return m
}

func (m *metrics) operation(name string) *operationMetrics {
	return &operationMetrics{
		requests: m.requests.MustCurryWith(prometheus.Labels{"operation": name}),
		ok:       m.requests.WithLabelValues(name, codeOK),
		seconds:  m.seconds.WithLabelValues(name),
	}
}

func (o *operationMetrics) observe(code string, took time.Duration) {
	if code == codeOK {
		o.ok.Inc()
	} else {
		o.requests.WithLabelValues(code).Inc()
	}
	o.seconds.Observe(took.Seconds())
}
