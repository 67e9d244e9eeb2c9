package firehose

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	files, bytes, records, repeats, failures, gaps, gapOffsets, superseded, errors *prometheus.CounterVec
	flushSeconds                                                                   prometheus.Histogram
}

// newMetrics registers the firehose's metrics; live is asked for the gauges at every scrape.
func newMetrics(reg prometheus.Registerer, live func(chan<- prometheus.Metric)) (*metrics, error) {
	var all []prometheus.Collector
	counter := func(what, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "penchant_firehose_" + what, Help: help},
			[]string{"topic"})
		all = append(all, c)
		return c
	}
	m := &metrics{
		files:   counter("files_total", "Files written to the archive."),
		bytes:   counter("bytes_total", "Bytes of the files written."),
		records: counter("records_total", "Records archived as rows."),
		repeats: counter("repeats_total", "Records dropped because their event id had come shortly before."),
		failures: counter("dead_letters_total",
			"Records that could not be archived as rows, kept in archive-errors."),
		gaps:       counter("gaps_total", "Stretches of offsets that the log had lost before they were archived."),
		gapOffsets: counter("gap_offsets_total", "Offsets in such stretches."),
		superseded: counter("superseded_total", "Files that another sink had written first."),
		errors:     counter("errors_total", "Failed attempts; each is repeated."),
		flushSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "penchant_firehose_flush_seconds", Help: "Time to encode and write one buffer.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range append(all, m.flushSeconds, liveCollector(live)) {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

// liveCollector computes gauges from the partitions that are assigned now, so that none outlives its assignment.
type liveCollector func(chan<- prometheus.Metric)

func (c liveCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- ageDesc()
	ch <- bufferDesc()
}

func (c liveCollector) Collect(ch chan<- prometheus.Metric) { c(ch) }

func ageDesc() *prometheus.Desc {
	return prometheus.NewDesc("penchant_firehose_archive_age_seconds",
		"Time since the arrival of the oldest record that was taken but is not archived.", []string{"topic"}, nil)
}

func bufferDesc() *prometheus.Desc {
	return prometheus.NewDesc("penchant_firehose_buffer_bytes", "Memory that the buffers take.", nil, nil)
}

func (s *Service) collectLive(ch chan<- prometheus.Metric) {
	ages := map[string]time.Duration{}
	now := s.now()
	s.mu.Lock()
	for p := range s.live {
		age := time.Duration(0)
		if oldest := p.oldest.Load(); oldest > 0 {
			age = max(0, now.Sub(time.UnixMilli(oldest)))
		}
		ages[p.Topic] = max(ages[p.Topic], age)
	}
	s.mu.Unlock()
	for topic, age := range ages {
		ch <- prometheus.MustNewConstMetric(ageDesc(), prometheus.GaugeValue, age.Seconds(), topic)
	}
	ch <- prometheus.MustNewConstMetric(bufferDesc(), prometheus.GaugeValue, float64(s.budget.used()))
}
