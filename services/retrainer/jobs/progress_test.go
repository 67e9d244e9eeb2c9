package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

func TestTheEndIsNotForetoldTooEarly(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_700_000_000, 0)
	now := began.Add(90 * time.Second)
	for _, c := range []struct {
		done float64
		want time.Time
	}{
		{0, time.Time{}}, {0.09, time.Time{}}, {0.1, now.Add(810 * time.Second)}, {0.5, now.Add(90 * time.Second)}, {1, now}, {2, now},
	} {
		t.Run(fmt.Sprint(c.done), func(t *testing.T) {
			if got := jobs.ExpectedEnd(began, now, c.done); !got.Equal(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
