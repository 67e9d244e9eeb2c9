package sessionupdater

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	freshness                                  prometheus.Histogram
	folded, repeats, conflicts, deadLetters    prometheus.Counter
	rebuilds, replayed, imports, importedUsers prometheus.Counter
	missing                                    prometheus.Counter
	importSeconds                              prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	var all []prometheus.Collector
	counter := func(what, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "penchant_session_updater_" + what, Help: help})
		all = append(all, c)
		return c
	}
	histogram := func(what, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "penchant_session_updater_" + what, Help: help, Buckets: buckets,
		})
		all = append(all, h)
		return h
	}
	m := &metrics{
		freshness: histogram("freshness_seconds",
			"From an event's append to the log (whole milliseconds) to its being visible in the user's state.",
			prometheus.ExponentialBuckets(0.0005, 2, 18)),
		folded: counter("events_folded_total", "Events that changed a user's recent interactions."),
		repeats: counter("events_unchanged_total",
			"Events that changed none: repeats, and those older than all that is kept."),
		conflicts: counter("conflicts_total",
			"Users read and folded again because another consumer wrote them meanwhile."),
		deadLetters: counter("dead_letters_total", "Records that could not be decoded."),
		rebuilds:    counter("rebuilds_total", "Partitions folded again because Redis had lost users."),
		replayed:    counter("events_replayed_total", "Events read from the archive to make a loss good."),
		missing: counter("missing_offsets_total",
			"Offsets that neither the log nor the archive held when they were to be folded."),
		imports:       counter("imports_total", "Dataset versions merged into user states."),
		importedUsers: counter("imported_users_total", "Users whose imported interactions were merged."),
		importSeconds: histogram("import_seconds", "Time to merge one dataset version.",
			prometheus.ExponentialBuckets(0.01, 2, 16)),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
