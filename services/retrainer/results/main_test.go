package results

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

// counter returns a process that counts experiments.
func (i *installation) counter(change func(*ExperimentsConfig)) *Experiments {
	i.Helper()
	config := ExperimentsConfig{
		Data: i.Data(), Interval: 15 * time.Second, Now: time.Now,
		Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&config)
	}
	x, err := NewExperiments(config)
	if err != nil {
		i.Fatal(err)
	}
	return x
}

// reporter returns a process that writes the reports of metric attributions.
func (i *installation) reporter(change func(*ReportsConfig)) *Reports {
	i.Helper()
	config := ReportsConfig{Worker: i.Worker(nil), Data: i.Data(), Target: i.S3, Now: time.Now, Log: zaptest.NewLogger(i)}
	if change != nil {
		change(&config)
	}
	return NewReports(config)
}
