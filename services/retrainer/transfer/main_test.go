package transfer

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

func (i *installation) importer() *Importer {
	return &Importer{
		Data: i.Data(), Source: i.S3, MinInteractions: 100, MinUsers: 10, Now: time.Now, Log: zaptest.NewLogger(i),
		ReportMetrics: func(context.Context, *catalog.DatasetImportJob, dataset.Version) error { return nil },
	}
}

func (i *installation) runsImports() {
	i.Helper()
	retrainertest.Run(i.Installation, i.Worker(nil), "import", i.importer().Run)
}

func (i *installation) runsExports() *Exporter {
	i.Helper()
	x := &Exporter{Data: i.Data(), Target: i.S3, Log: zaptest.NewLogger(i)}
	retrainertest.Run(i.Installation, i.Worker(nil), "export", x.Run)
	return x
}

func (i *installation) runsDeletions(users *userstate.Store) {
	i.Helper()
	r := &Deleter{Data: i.Data(), Source: i.S3, Users: users, Log: zaptest.NewLogger(i)}
	retrainertest.Run(i.Installation, i.Worker(nil), "deletion", r.Run)
}

// finished waits for the end of an import job.
func (i *installation) finished(job *catalog.DatasetImportJob) *catalog.DatasetImportJob {
	i.Helper()
	return retrainertest.JobEnds(i.Installation, job)
}
