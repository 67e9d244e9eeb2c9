package firehose

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/process"
)

// Whatever sinks do to each other, when they flush and when they crash: the archive has the log's events once each, in
// the log's order, in files without gaps and overlaps.
func TestAnyInterleavingOfSinksArchivesTheLogOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			s := newSinks(t)
			s.config.FlushBytes = process.ByteSize((1 + r.IntN(20)) * len(eventRecord(0, "00").Value))

			var log []bus.Record
			var want []string
			for offset := range int64(60) {
				id := fmt.Sprint(offset)
				if len(want) > 0 && r.IntN(5) == 0 {
					id = want[r.IntN(len(want))] // a client's retry
				} else {
					want = append(want, id)
				}
				log = append(log, eventRecord(offset, id))
			}
			type sink struct {
				*partition
				at int // in the log
			}
			start := func() *sink {
				p := s.start()
				return &sink{p, int(p.next)}
			}
			all := []*sink{start(), start(), start()}
			for done := false; !done; {
				i := r.IntN(len(all))
				one := all[i]
				switch r.IntN(8) {
				case 0: // crash
					all[i] = start()
				case 1: // revoked
					s.stop(one.partition)
					all[i] = start()
				case 2: // a tick after a while
					s.now = s.now.Add(time.Duration(r.IntN(40)) * time.Second)
					s.handle(one.partition)
				default:
					end := min(one.at+r.IntN(12), len(log))
					s.handle(one.partition, log[one.at:end]...)
					one.at = end
				}
				done = one.chain.Next() == int64(len(log))
			}
			s.wantArchived(want...)
			if gaps := s.verify().Gaps; len(gaps) > 0 {
				t.Errorf("gaps %+v", gaps)
			}
		})
	}
}
