package archive

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

// Any number of sinks, each of which reads the log in order from where its chain ends, buffers as much as it likes, and
// dies when it likes, write the log once, in order.
func TestAnyInterleavingOfSinksArchivesTheLogOnce(t *testing.T) {
	t.Parallel()
	const logEnd = 60
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 0))
		b := embeddedtest.Bucket(t)
		type sink struct {
			chain *Chain
			next  int64 // of the log
		}
		start := func() *sink {
			c := open(t, b, shop)
			return &sink{c, c.Next()}
		}
		sinks := []*sink{start(), start(), start()}
		for done := false; !done; {
			i := r.IntN(len(sinks))
			s := sinks[i]
			switch r.IntN(6) {
			case 0: // crash, with whatever is buffered
				sinks[i] = start()
			case 1, 2, 3: // read on
				s.next = min(s.next+r.Int64N(7), logEnd)
			default: // flush
				if s.next <= s.chain.Next() {
					s.next = s.chain.Next()
					break
				}
				err := s.chain.AppendInteractions(t.Context(), nil, events(s.chain.Next(), s.next-1), s.next-1)
				if err != nil && !errors.Is(err, ErrSuperseded) {
					t.Fatal(err)
				}
				done = s.chain.Next() == logEnd
			}
		}
		if report := verified(t, b); len(report.Problems) > 0 || len(report.Gaps) > 0 {
			t.Errorf("seed %d: %+v", seed, report)
		}
		if diff := cmp.Diff(events(0, logEnd-1), readAll(t, b, ReadOptions{})); diff != "" {
			t.Errorf("seed %d: (-log +archive)\n%s", seed, diff)
		}
	}
}
