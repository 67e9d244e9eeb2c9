package modelstore

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
)

// Prune deletes what a solution version's folder holds beside some of its models, those behind the manifests to keep,
// and the reports. The caller keeps the model that the catalog points at, the one that it is about to point at, and
// whatever a reader may still be loading.
func Prune(ctx context.Context, b *blob.Bucket, solutionVersionARN string, keep ...string) error {
	dir, err := folder(solutionVersionARN)
	if err != nil {
		return fmt.Errorf("pruning models: %w", err)
	}
	kept := map[string]bool{}
	for _, key := range keep {
		data, _, err := b.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("pruning models: %w", err)
		}
		manifest, err := parseManifest(key, data)
		if err != nil {
			return fmt.Errorf("pruning models: %w", err)
		}
		kept[key] = true
		for _, p := range manifest.Parts {
			kept[p.Key] = true
		}
	}
	var old []string
	for info, err := range b.List(ctx, dir+"/") {
		if err != nil {
			return fmt.Errorf("pruning models: %w", err)
		}
		if !kept[info.Key] && !isReport(dir, info.Key) {
			old = append(old, info.Key)
		}
	}
	if len(old) == 0 {
		return nil
	}
	if err := b.Delete(ctx, old...); err != nil {
		return fmt.Errorf("pruning models: %w", err)
	}
	return nil
}
