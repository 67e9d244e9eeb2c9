package modelstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
)

// pointersFile in the cache directory says what this process served last.
const pointersFile = "serving.json"

const maxPointersBytes = 64 << 20

// pointer is one campaign as it was served: enough to serve it again from the cache alone.
type pointer struct {
	Campaign *catalog.Campaign        `json:"campaign"`
	Version  *catalog.SolutionVersion `json:"version"`
	Group    string                   `json:"group"`
}

// note writes down what is being served, if that changed since the last note, and clears the cache of what is not.
func (r *Registry) note() {
	if r.cache == "" {
		return
	}
	var pointers []pointer
	inUse := map[string]bool{}
	for _, s := range r.Campaigns() {
		pointers = append(pointers, pointer{Campaign: s.Campaign, Version: s.Version, Group: s.Group})
		for _, hash := range s.Loaded.hashes {
			inUse[hash] = true
		}
	}
	same := func(a, b pointer) bool {
		return a.Campaign == b.Campaign && a.Version == b.Version && a.Group == b.Group
	}
	if r.noted != nil && slices.EqualFunc(pointers, r.noted, same) {
		return
	}
	data, err := json.Marshal(pointers)
	if err == nil {
		err = r.cache.writeFile(pointersFile, data)
	}
	if err == nil {
		err = r.cache.prune(func(hash string) bool { return inUse[hash] }, r.now().Add(-cacheGrace))
	}
	if err != nil {
		r.log.Warn("noting what is served for the next start failed", zap.Error(err))
		return
	}
	r.noted = append([]pointer{}, pointers...) // never nil: an empty note is a note
}

// restore serves what was served last, from the cache alone. What has rotted or was never kept is left to the first sync.
func (r *Registry) restore(ctx context.Context) {
	pointers, err := r.readPointers()
	if err != nil {
		r.log.Warn("starting without what was served last", zap.Error(err))
		return
	}
	loaded := map[string]*Loaded{}
	for _, p := range pointers {
		id := p.Version.ModelID
		if loaded[id] == nil {
			m, err := r.load(ctx, nil, p.Version.ManifestKey, id)
			if err != nil {
				r.log.Warn("a model served last is not in the cache", zap.String("campaign", p.Campaign.ARN), zap.Error(err))
				continue
			}
			loaded[id] = m
		}
		next := &Serving{Campaign: p.Campaign, Version: p.Version, Group: p.Group, Loaded: loaded[id]}
		r.replace(func(campaigns map[string]*Serving) {
			if campaigns[p.Campaign.ARN] == nil {
				campaigns[p.Campaign.ARN] = next
			}
		})
	}
}

func (r *Registry) readPointers() ([]pointer, error) {
	data, err := r.cache.readFile(pointersFile, maxPointersBytes)
	if err != nil || data == nil {
		return nil, err
	}
	var pointers []pointer
	if err := json.Unmarshal(data, &pointers); err != nil {
		return nil, fmt.Errorf("reading %s: %w", pointersFile, err)
	}
	for _, p := range pointers {
		if p.Campaign == nil || p.Version == nil {
			return nil, fmt.Errorf("reading %s: a campaign or version is missing", pointersFile)
		}
	}
	return pointers, nil
}
