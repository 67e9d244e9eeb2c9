package modelstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Loaded is a model in memory that has been verified and has answered once. It is read-only and shared by everyone who
// serves it.
type Loaded struct {
	ModelID  string
	Recipe   *recipe.Recipe
	Model    model.Model
	Manifest Manifest
	// Novelty is how new the items are; nil where the model was published without.
	Novelty *exploration.Novelty

	// hashes of the manifest and the parts: the files in the local cache that this model needs.
	hashes []string
	// cacheErr is why the model could not be kept locally, which spoils no answer.
	cacheErr error
}

// Folder is the model's ability to turn a history into a vector, or nil if it has none.
func (l *Loaded) Folder() model.Folder {
	folder, _ := model.As[model.Folder](l.Model)
	return folder
}

// Load reads the model behind a manifest's key, from cacheDir where that holds it and otherwise from the bucket,
// verifies every byte, decodes it and has it score once. cacheDir may be "" for no cache; b may be nil to use the cache
// alone.
//
// The error matches ErrCorrupt when the bucket holds something else than what was published.
func Load(ctx context.Context, b *blob.Bucket, manifestKey, cacheDir string) (*Loaded, error) {
	l := loader{bucket: b, cache: cache(cacheDir)}
	loaded, err := l.load(ctx, manifestKey)
	if err != nil {
		return nil, fmt.Errorf("loading model %s: %w", manifestKey, err)
	}
	return loaded, nil
}

type loader struct {
	bucket   *blob.Bucket
	cache    cache
	hashes   []string
	cacheErr error
}

func (l *loader) load(ctx context.Context, manifestKey string) (*Loaded, error) {
	hash, err := manifestHash(manifestKey)
	if err != nil {
		return nil, err
	}
	data, err := l.object(ctx, manifestKey, hash, -1)
	if err != nil {
		return nil, err
	}
	manifest, err := parseManifest(manifestKey, data)
	if err != nil {
		return nil, err
	}
	known, ok := recipe.ByName(manifest.Recipe)
	if !ok {
		return nil, fmt.Errorf("recipe %q is not known to this version", manifest.Recipe)
	}
	parts := make(map[string][]byte, len(manifest.Parts))
	for _, p := range manifest.Parts {
		if parts[p.Name], err = l.object(ctx, p.Key, p.SHA256, p.Size); err != nil {
			return nil, err
		}
	}
	m, err := decode(known, parts)
	if err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	if m.Items().Len() != manifest.Items {
		return nil, fmt.Errorf(
			"%w: it holds %d items, its manifest says %d", ErrCorrupt, m.Items().Len(), manifest.Items,
		)
	}
	var novelty *exploration.Novelty
	if data, ok := parts[exploration.NoveltyPart]; ok {
		if novelty, err = exploration.DecodeNovelty(data, manifest.Items); err != nil {
			return nil, fmt.Errorf("decoding the items' novelty: %w", err)
		}
	}
	if err := warmUp(m); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	return &Loaded{
		ModelID: manifest.ModelID, Recipe: known, Model: m, Manifest: manifest, Novelty: novelty, hashes: l.hashes,
		cacheErr: l.cacheErr,
	}, nil
}

// object reads one object and returns it only if it has the given hash and, unless that is -1, size.
func (l *loader) object(ctx context.Context, key, hash string, size int64) ([]byte, error) {
	l.hashes = append(l.hashes, hash)
	limit := size
	if size < 0 {
		limit = maxManifestBytes
	}
	if data, ok := l.cache.read(hash, limit); ok {
		return data, nil
	}
	if l.bucket == nil {
		return nil, fmt.Errorf("%s is not in the local cache", path.Base(key))
	}
	data, err := fetch(ctx, l.bucket, key, limit)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil, fmt.Errorf("%w: %s is missing", ErrCorrupt, path.Base(key))
	case err != nil:
		return nil, fmt.Errorf("fetching %s: %w", path.Base(key), err)
	case size >= 0 && int64(len(data)) != size:
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrCorrupt, path.Base(key), len(data), size)
	case hashOf(data) != hash:
		return nil, fmt.Errorf("%w: %s does not have the hash it was published with", ErrCorrupt, path.Base(key))
	}
	l.cacheErr = errors.Join(l.cacheErr, l.cache.write(hash, data))
	return data, nil
}

// fetch reads an object of at most limit bytes; a larger one is cut there, so that nobody's object decides how much
// memory is taken.
func fetch(ctx context.Context, b *blob.Bucket, key string, limit int64) ([]byte, error) {
	r, info, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, min(info.Size, limit))
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, more than the %d that it may have", ErrCorrupt, info.Size, limit)
	}
	return data, nil
}

// decode turns parts into a model. Decoders check their bounds; should one panic nevertheless, that is a damaged model
// and not the end of a process that answers from good ones.
func decode(r *recipe.Recipe, parts map[string][]byte) (m model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("%w: decoder of %s panicked: %v", ErrCorrupt, r.Name, p)
		}
	}()
	return r.Load(parts)
}

// warmUp has the model answer for nobody, and for a visitor and as related items of what it knows best, and checks that
// the scores are numbers. It also brings the model's pages into memory before the first visitor needs them.
func warmUp(m model.Model) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: scoring panicked: %v", ErrCorrupt, p)
		}
	}()
	items := m.Items()
	queries := []model.Query{{}}
	if items.Len() > 0 {
		history := []reco.RecentInteraction{{ItemID: items.ID(0)}, {ItemID: items.ID(items.Len() - 1)}}
		queries = append(queries, model.Query{History: history, ItemID: items.ID(0)})
	}
	scores := make([]float32, items.Len())
	for _, q := range queries {
		if err := m.Score(q, scores); err != nil {
			return err
		}
		for i, s := range scores {
			if math.IsNaN(float64(s)) || math.IsInf(float64(s), 1) {
				return fmt.Errorf("%w: item %d has score %v", ErrCorrupt, i, s)
			}
		}
	}
	return nil
}
