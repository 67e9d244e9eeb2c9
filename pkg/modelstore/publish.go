package modelstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
)

// Meta is what a manifest says about a model beside its parts.
type Meta struct {
	// Params are the hyper-parameters used, as on the wire.
	Params map[string]string
	// Metrics are the offline metrics, by Personalize's names.
	Metrics map[string]float64
	DataCut DataCut
	// Trained is when training ended.
	Trained time.Time
	// Novelty is stored with models of recipes that explore; else nil.
	Novelty *exploration.Novelty
}

// Publish writes a model into the bucket: its parts, then the manifest that makes them a model. It then reads
// everything back, verifies it, and has the model score; only what a recommender will be able to load is returned.
// Publishing the same model again writes nothing new. The caller moves the pointer: until it stores the key in the
// catalog, nobody serves the model.
func Publish(
	ctx context.Context, b *blob.Bucket, solutionVersionARN, recipe string, m model.Model, meta Meta,
) (manifestKey, modelID string, err error) {
	manifestKey, modelID, err = publish(ctx, b, solutionVersionARN, recipe, m, meta)
	if err != nil {
		return "", "", fmt.Errorf("publishing the model: %w", err)
	}
	return manifestKey, modelID, nil
}

func publish(
	ctx context.Context, b *blob.Bucket, solutionVersionARN, recipe string, m model.Model, meta Meta,
) (string, string, error) {
	dir, err := folder(solutionVersionARN)
	if err != nil {
		return "", "", err
	}
	encoded, err := m.Parts()
	if err != nil {
		return "", "", fmt.Errorf("encoding: %w", err)
	}
	if meta.Novelty != nil {
		encoded = append(encoded, meta.Novelty.Part())
	}
	manifest := Manifest{
		Format: manifestFormat, SolutionVersion: solutionVersionARN, Recipe: recipe, Params: meta.Params,
		Items:   m.Items().Len(),
		Metrics: meta.Metrics, DataCut: meta.DataCut, Trained: meta.Trained.UTC(),
	}
	for _, p := range encoded {
		hash := hashOf(p.Data)
		part := Part{Name: p.Name, Key: dir + "/" + hash + ".part", SHA256: hash, Size: int64(len(p.Data))}
		if err := putOnce(ctx, b, part.Key, p.Data, "application/octet-stream"); err != nil {
			return "", "", fmt.Errorf("writing part %q: %w", p.Name, err)
		}
		manifest.Parts = append(manifest.Parts, part)
	}
	manifest.ModelID = newModelID(recipe, manifest.Parts)
	data, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return "", "", fmt.Errorf("encoding the manifest: %w", err)
	}
	key := dir + "/" + manifestPrefix + hashOf(data) + ".json"
	if err := putOnce(ctx, b, key, data, "application/json"); err != nil {
		return "", "", fmt.Errorf("writing the manifest: %w", err)
	}
	if _, err := Load(ctx, b, key, ""); err != nil {
		return "", "", fmt.Errorf("reading back: %w", err)
	}
	return key, manifest.ModelID, nil
}

// putOnce writes an object whose name is its content: if it is there already, it is what would have been written, which
// reading back verifies.
func putOnce(ctx context.Context, b *blob.Bucket, key string, data []byte, contentType string) error {
	_, err := b.Put(ctx, key, data, blob.PutOptions{IfAbsent: true, ContentType: contentType})
	if errors.Is(err, blob.ErrPrecondition) {
		return nil
	}
	return err
}
