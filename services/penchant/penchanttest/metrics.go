package penchanttest

import (
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metric adds up a metric of the process over all label sets that have the given labels (name, value, …). A metric that
// is not there counts 0; a histogram or summary counts its observations.
func (p *Process) Metric(name string, labels ...string) (float64, error) {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.Endpoints["http"] + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics: %w", err)
	}
	total := 0.0
	for _, metric := range families[name].GetMetric() {
		if !hasLabels(metric, labels) {
			continue
		}
		total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue() +
			float64(metric.GetHistogram().GetSampleCount()) + float64(metric.GetSummary().GetSampleCount())
	}
	return total, nil
}

func hasLabels(metric *dto.Metric, wanted []string) bool {
	for i := 0; i+1 < len(wanted); i += 2 {
		found := false
		for _, pair := range metric.GetLabel() {
			found = found || pair.GetName() == wanted[i] && pair.GetValue() == wanted[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
