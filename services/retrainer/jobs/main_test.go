package jobs_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, embeddedtest.LeakOptions()...) }
