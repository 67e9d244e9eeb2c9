package modelstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// pointersFile in the cache directory says what this process served last.
const pointersFile = "serving.json"

const maxPointersBytes = 64 << 20

// note writes down what is being served, if that changed since the last note, and clears the cache of what is not.
func (r *Registry) note() {
	if r.cache == "" {
		return
	}
	pointers := r.All()
	inUse := map[string]bool{}
	for _, s := range pointers {
		for _, hash := range s.Loaded.hashes {
			inUse[hash] = true
		}
	}
	if r.noted != nil && slices.Equal(pointers, r.noted) {
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
	r.noted = pointers // never nil: an empty note is a note
}

// restore serves what was served last, from the cache alone. What has rotted or was never kept is left to the first
// sync.
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
				r.log.Warn("a model served last is not in the cache", zap.String("arn", p.ARN()), zap.Error(err))
				continue
			}
			loaded[id] = m
		}
		p.Loaded = loaded[id]
		r.replace(func(deployed map[string]*Serving) {
			if deployed[p.ARN()] == nil {
				deployed[p.ARN()] = p
			}
		})
	}
}

func (r *Registry) readPointers() ([]*Serving, error) {
	data, err := r.cache.readFile(pointersFile, maxPointersBytes)
	if err != nil || data == nil {
		return nil, err
	}
	var pointers []*Serving
	if err := json.Unmarshal(data, &pointers); err != nil {
		return nil, fmt.Errorf("reading %s: %w", pointersFile, err)
	}
	for _, p := range pointers {
		if p == nil || (p.Campaign == nil) == (p.Recommender == nil) || p.Version == nil {
			return nil, fmt.Errorf("reading %s: a campaign, recommender or version is missing", pointersFile)
		}
	}
	return pointers, nil
}
