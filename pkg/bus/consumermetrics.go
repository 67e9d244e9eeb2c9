package bus

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// maxLagSeries bounds the lag's series: beyond it, a topic's partitions are added up.
const maxLagSeries = 500

// consumerMetrics are a consumer's numbers, labelled with its group.
type consumerMetrics struct {
	records prometheus.Counter
	errors  prometheus.Counter
	lag     *lagCollector
}

func newConsumerMetrics() *consumerMetrics {
	return &consumerMetrics{
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_bus_consumed_records_total",
			Help: "Records that a consumer group's handlers have taken in this process.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_bus_handler_errors_total",
			Help: "Failures of a consumer group's handlers in this process; each is repeated.",
		}),
	}
}

func (m *consumerMetrics) registerer(c *Consumer) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"group": c.cfg.Group}, c.cfg.Registerer)
}

func (m *consumerMetrics) register(c *Consumer) error {
	m.lag = &lagCollector{consumer: c, desc: prometheus.NewDesc("penchant_bus_lag_records",
		"Records of a topic that a consumer group hasn't safely handled yet, of the partitions assigned to this process.",
		[]string{"topic", "partition"}, nil)}
	for _, collector := range []prometheus.Collector{m.records, m.errors, m.lag} {
		if err := m.registerer(c).Register(collector); err != nil {
			return err
		}
	}
	return nil
}

func (m *consumerMetrics) unregister(c *Consumer) {
	for _, collector := range []prometheus.Collector{m.records, m.errors, m.lag} {
		m.registerer(c).Unregister(collector)
	}
}

// lagCollector works out the lag when it is asked for, so that partitions that went leave no series behind.
type lagCollector struct {
	consumer *Consumer
	desc     *prometheus.Desc
}

func (l *lagCollector) Describe(ch chan<- *prometheus.Desc) { ch <- l.desc }

func (l *lagCollector) Collect(ch chan<- prometheus.Metric) {
	lag := l.consumer.Lag()
	if len(lag) <= maxLagSeries {
		for tp, n := range lag {
			ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(n), tp.Topic, strconv.Itoa(int(tp.Partition)))
		}
		return
	}
	topics := make(map[string]int64)
	for tp, n := range lag {
		topics[tp.Topic] += n
	}
	written := 0
	rest := int64(0)
	for topic, n := range topics {
		if written++; written > maxLagSeries {
			rest += n
			continue
		}
		ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(n), topic, "all")
	}
	if written > maxLagSeries {
		ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, float64(rest), "others", "all")
	}
}
