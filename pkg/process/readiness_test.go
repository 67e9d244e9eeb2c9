package process

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReadinessIsAMetric(t *testing.T) {
	t.Parallel()
	services := []Service{fakeService{name: "tracker"}, fakeService{name: "firehose", ready: errors.New("S3 is away")}}
	const want = `
# HELP penchant_ready Whether the service can do its work: 1, or 0 for a reason that /healthz/ready gives.
# TYPE penchant_ready gauge
penchant_ready{service="firehose"} 0
penchant_ready{service="tracker"} 1
`
	if err := testutil.CollectAndCompare(ReadinessCollector(func() []Service { return services }), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
