package firehose

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penchant-io/penchant/pkg/bus"
)

func TestTheAgeOfWhatIsNotArchivedIsVisible(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	registry := prometheus.NewRegistry()
	s.config.Registerer = registry
	p := s.start()
	s.handle(p, records(0, 4)...)
	s.now = s.now.Add(30 * time.Second)

	age := func(seconds string) {
		t.Helper()
		want := `
# HELP penchant_firehose_archive_age_seconds Time since the arrival of the oldest record that was taken but is not archived.
# TYPE penchant_firehose_archive_age_seconds gauge
penchant_firehose_archive_age_seconds{topic="` + topic + `"} ` + seconds + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "penchant_firehose_archive_age_seconds"); err != nil {
			t.Error(err)
		}
	}
	age("30")
	s.now = s.now.Add(defaultFlushInterval)
	s.handle(p)
	age("0")
	for name, want := range map[string]float64{
		"files": testutil.ToFloat64(p.service.metrics.files.WithLabelValues(topic)), "records": testutil.ToFloat64(p.service.metrics.records.WithLabelValues(topic)) / 5,
	} {
		if want != 1 {
			t.Errorf("%s are counted %v times", name, want)
		}
	}
	s.stop(p)
	if n, err := testutil.GatherAndCount(registry, "penchant_firehose_archive_age_seconds"); err != nil || n != 0 {
		t.Errorf("%d gauges (%v) of a partition that is gone", n, err)
	}
}

func TestAnArchiveThatCannotBeOpenedIsCounted(t *testing.T) {
	t.Parallel()
	s := newSinks(t)
	proxy := newProxy(t, s.environment)
	s.config.Bucket = proxy.bucket
	p := s.assign(topic, bus.Assignment{Committed: -1, End: 5})
	errors := func() float64 { return testutil.ToFloat64(p.service.metrics.errors.WithLabelValues(topic)) }
	proxy.mode.Store(away)
	if _, err := p.Start(t.Context()); err == nil || errors() != 1 {
		t.Errorf("while the bucket is away: error %v, and %v are counted", err, errors())
	}
	givenUp, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Start(givenUp); err == nil || errors() != 1 {
		t.Errorf("when the partition is given up: error %v, and %v are counted", err, errors())
	}
	proxy.mode.Store(there)
	if _, err := p.Start(t.Context()); err != nil || errors() != 1 {
		t.Errorf("when the bucket is back: error %v, and %v are counted", err, errors())
	}
	s.stop(p)
}
