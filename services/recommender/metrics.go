package recommender

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	latency     *prometheus.HistogramVec
	fallbacks   *prometheus.CounterVec
	shown       *prometheus.CounterVec
	unavailable prometheus.Counter
	unfiltered  prometheus.Counter
	overloaded  prometheus.Counter
	assigned    *prometheus.CounterVec
	shadows     *prometheus.CounterVec
	overlap     *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "penchant_recommender_latency_seconds",
			Help:    "Time from the decoded request to the answer, by operation and outcome.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
		}, []string{"operation", "outcome"}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_recommender_fallbacks_total",
			Help: "Answers that were not made from the whole of the visitor's own state, by reason.",
		}, []string{"reason"}),
		shown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_recommender_shown_total",
			Help: "Answers by the outcome of their record for the recommendations topic: " +
				"published, dropped (queue full) or failed.",
		}, []string{"outcome"}),
		unavailable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_recommender_unavailable_total",
			Help: "Requests refused because no model of an active campaign could be loaded.",
		}),
		unfiltered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_recommender_unfiltered_total",
			Help: "Requests refused because the attributes for their filter or metadata could not be loaded yet.",
		}),
		overloaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_recommender_overloaded_total",
			Help: "Requests refused because too many others were waiting to be computed.",
		}),
	}
	m.assigned = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "penchant_recommender_experiment_answers_total",
		Help: "Answers that count in an experiment, by its name and the arm.",
	}, []string{"experiment", "arm"})
	m.shadows = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "penchant_recommender_shadow_answers_total",
		Help: "Requests to shadow campaigns, by outcome: answered, dropped (there was no time for it) or failed.",
	}, []string{"outcome"})
	m.overlap = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "penchant_recommender_shadow_overlap_ratio",
		Help:    "Share of the items of an answer that its shadow has as well, by the shadow campaign's name.",
		Buckets: prometheus.LinearBuckets(0, 0.1, 11),
	}, []string{"campaign"})
	for _, outcome := range []string{shadowAnswered, shadowDropped, shadowFailed} {
		m.shadows.WithLabelValues(outcome)
	}
	for _, reason := range []string{fallbackTimeout, fallbackUnavailable, fallbackRebuilding, fallbackArm} {
		m.fallbacks.WithLabelValues(reason)
	}
	for _, outcome := range []string{"published", "dropped", "failed"} {
		m.shown.WithLabelValues(outcome)
	}
	for _, c := range []prometheus.Collector{
		m.latency, m.fallbacks, m.shown, m.unavailable, m.unfiltered, m.overloaded, m.assigned, m.shadows, m.overlap,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
