package asl

import (
	"encoding/json"
	"math"
)

// maxConcurrent is how many iterations of a Map state run at once at most.
const maxConcurrent = 40

func (r *run) beginParallel(f *frame, s *state, input jsonValue) outcome {
	r.record(f, "ParallelStateStarted", nil)
	f.Results = make([]json.RawMessage, len(s.branches))
	f.Branches = make([]*thread, len(s.branches))
	for i := range f.Branches {
		f.Branches[i] = &thread{Previous: f.Previous}
	}
	out := waiting
	for i, branch := range s.branches {
		child := f.branch(i)
		ended := r.proceed(child, branch.startAt, input)
		if ended.waits {
			continue
		}
		if out = r.branchEnded(child, ended); f.Branches == nil {
			return out
		}
	}
	return out
}

// branchEnded tells a Parallel or Map state that one of its threads has ended. The outcome is the state's.
func (r *run) branchEnded(child *frame, ended outcome) outcome {
	f := child.parent
	s := f.of()
	if s.kind == typeMap {
		if failed := r.iterationEnded(f, child, ended); failed != nil {
			return r.fail(f, failed)
		}
		return r.iterate(f, s)
	}
	f.Previous = child.Previous
	if ended.failed != nil {
		return r.fail(f, nested(ended.failed))
	}
	f.Branches[child.index], f.Results[child.index] = nil, encodeValue(ended.output)
	if f.active() > 0 {
		return waiting
	}
	results := f.results()
	f.Branches = nil
	r.record(f, "ParallelStateSucceeded", nil)
	return r.complete(f, s, results)
}

// nested is a failure of a thread as the state sees it that holds the thread. A fatal one stays so.
func nested(failed *failure) *failure {
	outer := *failed
	outer.also = append(append([]string(nil), failed.also...), ErrorBranchFailed)
	return &outer
}

func (t *thread) active() int {
	n := 0
	for _, branch := range t.Branches {
		if branch != nil {
			n++
		}
	}
	return n
}

func (t *thread) results() jsonArray {
	results := make(jsonArray, len(t.Results))
	for i, result := range t.Results {
		results[i] = stored(result)
	}
	return results
}

func (r *run) beginMap(f *frame, s *state, sc *scope) outcome {
	v, failed := s.itemsPath.of("ItemsPath", sc)
	if failed != nil {
		return r.fail(f, failed)
	}
	items, ok := v.(jsonArray)
	if !ok {
		path := "$"
		if s.itemsPath.path != nil {
			path = s.itemsPath.path.text
		}
		return r.fail(f, broken("Reference path \"%s\" must point to array.", path))
	}
	m := &mapRun{Items: make([]json.RawMessage, len(items)), Concurrency: maxConcurrent}
	for i, item := range items {
		m.Items[i] = encodeValue(item)
	}
	if failed := s.limits(m, sc); failed != nil {
		return r.fail(f, failed)
	}
	f.Map, f.Branches, f.Results = m, make([]*thread, len(items)), make([]json.RawMessage, len(items))
	r.record(f, "MapStateStarted", mapStarted{len(items)})
	m.LastEvent = f.Previous
	return r.iterate(f, s)
}

// limits reads how many iterations may run at once, and how many may fail.
func (s *state) limits(m *mapRun, sc *scope) *failure {
	if s.concurrency.set {
		n, failed := s.concurrency.whole(sc, 0, maxSeconds)
		if failed != nil {
			return failed
		}
		if n > 0 {
			m.Concurrency = int(min(n, maxConcurrent))
		}
	}
	tolerated := int64(math.MaxInt32)
	if s.toleratedCount.set {
		n, failed := s.toleratedCount.whole(sc, 0, maxSeconds)
		if failed != nil {
			return failed
		}
		m.Tolerates, tolerated = true, min(tolerated, n)
	}
	if s.toleratedPercentage.set {
		share, failed := s.toleratedPercentage.number(sc, 0, 100)
		if failed != nil {
			return failed
		}
		m.Tolerates, tolerated = true, min(tolerated, int64(share*float64(len(m.Items))/100))
	}
	if m.Tolerates {
		m.Tolerated = int(tolerated)
	}
	return nil
}

// number is the amount, which may have a fraction.
func (a *amount) number(s *scope, least, most float64) (float64, *failure) {
	if a.path == nil {
		return a.fixed, nil
	}
	v, err := a.path.in(s)
	if err != nil {
		return 0, broken("%s", unresolved(err, a.field, s))
	}
	n, ok := v.(json.Number)
	if f, _ := n.Float64(); ok && f >= least && f <= most {
		return f, nil
	}
	return 0, broken(
		"The %s parameter does not reference a number from %v to %v: %s == %s", a.field, least, most, a.path,
		shortened(string(encodeValue(v))),
	)
}

// iterate begins the iterations that may run, and ends the state after the last one.
func (r *run) iterate(f *frame, s *state) outcome {
	m := f.Map
	for m.Next < len(m.Items) && f.active() < m.Concurrency {
		child, ended := r.beginIteration(f, s)
		if ended.waits {
			continue
		}
		if failed := r.iterationEnded(f, child, ended); failed != nil {
			return r.fail(f, failed)
		}
	}
	if f.active() > 0 {
		return waiting
	}
	results := f.results()
	f.Previous = m.LastEvent
	r.record(f, "MapStateSucceeded", nil)
	return r.complete(f, s, results)
}

func (r *run) beginIteration(f *frame, s *state) (*frame, outcome) {
	m := f.Map
	i := m.Next
	m.Next++
	started := r.emit(f.Previous, "MapIterationStarted", iteration{s.name, i})
	f.Branches[i] = &thread{Previous: started, Item: &mapItem{Index: i, Value: m.Items[i]}}
	child := f.branch(i)
	if r.x.LastEvent >= maxEvents-1 { // however many iterations end at once
		return child, outcome{
			failed: broken("The execution reached the maximum number of history events (%d).", maxEvents),
		}
	}
	input := stored(m.Items[i])
	if s.parameters != nil {
		sc := r.scope(f, stored(f.Input), "item")
		sc.context.(jsonObject)["Map"] = contextItem(child.Item)
		var failed *failure
		if sc.input, failed = s.inputPath.of("InputPath", sc); failed == nil {
			input, failed = s.parameters.fill(sc)
		}
		if failed != nil {
			failed.cause = causeAt(f, failed.message)
			return child, outcome{failed: failed}
		}
	}
	return child, r.proceed(child, s.processor.startAt, input)
}

// iterationEnded takes down how an iteration ended, and says whether that fails the state.
func (r *run) iterationEnded(f, child *frame, ended outcome) *failure {
	m, i := f.Map, child.index
	about := iteration{f.State, i}
	f.Previous = child.Previous
	f.Branches[i] = nil
	if ended.failed == nil {
		f.Results[i] = encodeValue(ended.output)
		m.LastEvent = r.emit(child.Previous, "MapIterationSucceeded", about)
		return nil
	}
	m.LastEvent = r.emit(child.Previous, "MapIterationFailed", about)
	m.Failed++
	if m.Tolerates && m.Failed <= m.Tolerated && !ended.failed.fatal {
		f.Results[i] = encodeValue(jsonObject{"Error": ended.failed.name, "Cause": ended.failed.cause})
		return nil
	}
	for other, branch := range f.Branches {
		if branch != nil {
			r.emit(branch.Previous, "MapIterationAborted", iteration{f.State, other})
		}
	}
	f.Previous = m.LastEvent
	if m.Tolerates && !ended.failed.fatal {
		return namedFailure(
			ErrorThreshold, "The specified tolerated failure threshold was exceeded: %d of %d iterations failed.",
			m.Failed, len(m.Items),
		)
	}
	return nested(ended.failed)
}
