package modelstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/blob"
)

const reportPrefix = "report-"

// PublishReport writes what is known about a model's quality beside it, into a folder that is named after the model,
// and returns that folder's key. Files are for people and programs alike; nothing that serves reads them, and Prune
// leaves them.
func PublishReport(
	ctx context.Context, b *blob.Bucket, solutionVersionARN, modelID string, files map[string][]byte,
) (string, error) {
	dir, err := folder(solutionVersionARN)
	if err != nil {
		return "", fmt.Errorf("publishing the report: %w", err)
	}
	dir += "/" + reportPrefix + modelID
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := putOnce(ctx, b, dir+"/"+name, files[name], reportTypes[path.Ext(name)]); err != nil {
			return "", fmt.Errorf("publishing the report: writing %s: %w", name, err)
		}
	}
	return dir, nil
}

// reportTypes are the content types of a report's files, so that a browser shows what it gets from the bucket.
var reportTypes = map[string]string{".json": "application/json", ".svg": "image/svg+xml"}

// ReadReport reads the files of a report's folder, by their names.
func ReadReport(ctx context.Context, b *blob.Bucket, folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for info, err := range b.List(ctx, folder+"/") {
		if err != nil {
			return nil, fmt.Errorf("reading the report: %w", err)
		}
		data, _, err := b.Get(ctx, info.Key)
		if errors.Is(err, blob.ErrNotFound) { // deleted with its solution since it was listed
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the report: %w", err)
		}
		files[path.Base(info.Key)] = data
	}
	return files, nil
}

// isReport says of a key in a solution version's folder whether a report's file stands there.
func isReport(dir, key string) bool { return strings.HasPrefix(key, dir+"/"+reportPrefix) }
