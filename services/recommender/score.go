package recommender

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
)

const (
	// slotsPerCPU keeps every processor busy although some of the requests that score are not running at a moment.
	slotsPerCPU = 4
	// slotTimeout bounds the wait for a slot.
	slotTimeout = time.Second
)

// slots bounds the requests that score at once: more would not be answered sooner, and each holds a vector as long as
// the catalogue.
type slots chan struct{}

func newSlots() slots { return make(slots, slotsPerCPU*runtime.GOMAXPROCS(0)) }

// acquire waits for a slot, but not for long: a client that would wait longer had better ask another replica.
func (s slots) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	default:
	}
	timeout := time.NewTimer(slotTimeout)
	defer timeout.Stop()
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return errOverloaded
	}
}

// errOverloaded means that there was no slot for too long.
var errOverloaded = errors.New("all slots are taken")

func (s slots) release() { <-s }

// busy reports whether requests keep all processors busy.
func (s slots) busy() bool { return len(s) >= runtime.GOMAXPROCS(0) }

// buffers lends score vectors, so that a request does not allocate one as long as the catalogue.
type buffers struct{ pool sync.Pool }

// get returns a vector of n scores with arbitrary content.
func (b *buffers) get(n int) *[]float32 {
	if scores, ok := b.pool.Get().(*[]float32); ok && cap(*scores) >= n {
		*scores = (*scores)[:n]
		return scores
	}
	scores := make([]float32, n)
	return &scores
}

func (b *buffers) put(scores *[]float32) { b.pool.Put(scores) }

// scorer has a model score its catalogue for one request. It holds a slot and a buffer until it is released.
type scorer struct {
	ranking.Scorer
	service *Service
	modelID string
	buffer  *[]float32
}

// acquireScorer returns a scorer of a model's answers to a query. It must be released when the list has been made.
func (s *Service) acquireScorer(ctx context.Context, loaded *modelstore.Loaded, query model.Query) (*scorer, error) {
	err := s.slots.acquire(ctx)
	if errors.Is(err, errOverloaded) {
		s.metrics.overloaded.Inc()
		return nil, awsapi.ServiceUnavailable("more recommendations are asked for than this recommender can compute")
	}
	if err != nil {
		return nil, err
	}
	buffer := s.buffers.get(loaded.Model.Items().Len())
	return &scorer{
		Scorer: ranking.ModelScorer(loaded.Model, query, *buffer), service: s, modelID: loaded.ModelID, buffer: buffer,
	}, nil
}

// Score implements ranking.Scorer.
func (s *scorer) Score(items []int32) (ranking.Scores, error) {
	scores, err := s.Scorer.Score(items)
	if err != nil {
		return scores, fmt.Errorf("scoring with model %s: %w", s.modelID, err)
	}
	return scores, nil
}

func (s *scorer) release() {
	s.service.buffers.put(s.buffer)
	s.service.slots.release()
}
