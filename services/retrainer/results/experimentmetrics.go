package results

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/experiment"
)

// experimentMetrics shows the results of experiments as this retrainer last saw them. Only Run's goroutine changes it.
type experimentMetrics struct {
	users, impressions, rewards *prometheus.GaugeVec
	pValue                      *prometheus.GaugeVec
	mismatch, counted           *prometheus.GaugeVec
	rollbacks                   prometheus.Counter

	names map[string]string // of the experiments that are shown, by id
}

func newExperimentMetrics(reg prometheus.Registerer) (*experimentMetrics, error) {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		options := prometheus.GaugeOpts{Name: "penchant_experiment_" + name, Help: help}
		return prometheus.NewGaugeVec(options, append([]string{"experiment"}, labels...))
	}
	m := &experimentMetrics{
		users:       gauge("users", "Users who count in an experiment, by arm.", "arm"),
		impressions: gauge("impressions", "Answers that count in an experiment, by arm.", "arm"),
		rewards: gauge("rewards",
			"Events that were counted for answers of an experiment, by arm and metric: metric or guard.",
			"arm", "metric"),
		pValue: gauge("p_value",
			"Always valid p-value of an arm's difference from the control, by metric: metric or guard.",
			"arm", "metric"),
		mismatch: gauge("sample_ratio_mismatch",
			"1 where the arms do not have the users that their shares ask for: the results are not to be believed."),
		counted: gauge("counted_timestamp_seconds", "Until when events have been counted."),
		rollbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_experiment_rollbacks_total",
			Help: "Experiments that this retrainer has stopped because the guard metric was worse.",
		}),
		names: map[string]string{},
	}
	for _, c := range []prometheus.Collector{
		m.users, m.impressions, m.rewards, m.pValue, m.mismatch, m.counted, m.rollbacks,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *experimentMetrics) show(e *catalog.Experiment, r experiment.Results) {
	m.names[e.ID] = e.Name
	for _, arm := range r.Arms {
		m.users.WithLabelValues(e.Name, arm.Name).Set(float64(arm.Users))
		m.impressions.WithLabelValues(e.Name, arm.Name).Set(float64(arm.Impressions))
		m.showRate(e.Name, arm.Name, "metric", &arm.Metric)
		m.showRate(e.Name, arm.Name, "guard", arm.Guard)
	}
	mismatch := 0.0
	if r.SampleRatio.Mismatch {
		mismatch = 1
	}
	m.mismatch.WithLabelValues(e.Name).Set(mismatch)
	m.counted.WithLabelValues(e.Name).Set(r.CountedUntil)
}

func (m *experimentMetrics) showRate(name, arm, metric string, rate *experiment.RateResult) {
	if rate == nil {
		return
	}
	m.rewards.WithLabelValues(name, arm, metric).Set(float64(rate.Rewards))
	if rate.Comparison != nil {
		m.pValue.WithLabelValues(name, arm, metric).Set(rate.Comparison.PValue)
	}
}

// forget removes the series of an experiment that is gone.
func (m *experimentMetrics) forget(id string) {
	labels := prometheus.Labels{"experiment": m.names[id]}
	for _, vec := range []*prometheus.GaugeVec{m.users, m.impressions, m.rewards, m.pValue, m.mismatch, m.counted} {
		vec.DeletePartialMatch(labels)
	}
	delete(m.names, id)
}
