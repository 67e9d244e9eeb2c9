package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
)

// ErrNoData means that nothing has been imported into the dataset.
var ErrNoData = errors.New("the dataset has no imported data")

// errConcurrent means that another import has switched the manifest meanwhile; running the import again helps.
var errConcurrent = errors.New("another import of the dataset finished first")

// Mode says what an import does with the data imported before.
type Mode string

// The import modes: Full replaces what was imported before, Incremental adds to it.
const (
	Full        Mode = "FULL"
	Incremental Mode = "INCREMENTAL"
)

// Version is the imported data of a dataset at one time.
type Version struct {
	// Number rises with every import and every removal.
	Number int64 `json:"number"`
	// Base is the number of the full import that the data begins with: whoever has applied an earlier version must drop
	// all of it.
	Base int64 `json:"base"`
	// Mode of the import that made this version.
	Mode Mode `json:"mode"`
	// Imported is when the import finished.
	Imported time.Time `json:"imported"`
	// Rows of all parts.
	Rows int64 `json:"rows"`
	// Parts in the order in which they were imported.
	Parts []Part `json:"parts"`
}

// Part is one file of a version.
type Part struct {
	Key   string `json:"key"`
	Bytes int64  `json:"bytes"`
	Rows  int64  `json:"rows"`
	// Repeats is how many rows the import left out because they repeat others; of the parts of an import the last one
	// says it.
	Repeats int64 `json:"repeats,omitempty"`
	// Version is the number of the import that wrote the part, or of the removal since; Imported is when that import
	// finished.
	Version  int64     `json:"version"`
	Imported time.Time `json:"imported"`
}

// Since is the version reduced to the parts that were imported after another version of the dataset.
func (v Version) Since(number int64) Version {
	v.Parts = slices.DeleteFunc(slices.Clone(v.Parts), func(p Part) bool { return p.Version <= number })
	v.Rows = rowsOf(v.Parts)
	return v
}

// manifest is the object that says which data counts.
type manifest struct {
	Format  int     `json:"format"`
	Current Version `json:"current"`
	// Imports are the newest finished imports, newest first: an import that is run again after it has succeeded finds
	// itself here.
	Imports []finished `json:"imports"`
	// Replaced are the parts in whose place the newest removal put others: to be deleted, also by a removal that is run
	// again after its process ended in between.
	Replaced []string `json:"replaced,omitempty"`

	etag string // "": there is no object yet
}

// finished is an import that has switched the manifest.
type finished struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

const (
	manifestFormat = 1
	keptImports    = 1000
)

func manifestKey(group, datasetType string) string {
	return prefix(group, datasetType) + "manifest.json"
}

func prefix(group, datasetType string) string {
	return "datasets/" + group + "/" + strings.ToUpper(datasetType) + "/"
}

// Current is the dataset's data now. datasetType is INTERACTIONS, ITEMS, USERS, …. The error wraps ErrNoData where
// nothing was imported, or what was has been removed.
func Current(ctx context.Context, b *blob.Bucket, group, datasetType string) (Version, error) {
	m, err := readManifest(ctx, b, group, datasetType)
	if err != nil {
		return Version{}, err
	}
	if len(m.Current.Parts) == 0 {
		return Version{Number: m.Current.Number}, fmt.Errorf(
			"reading the %s of %s: %w", strings.ToLower(datasetType), group, ErrNoData,
		)
	}
	return m.Current, nil
}

func readManifest(ctx context.Context, b *blob.Bucket, group, datasetType string) (*manifest, error) {
	document := manifestOf(b, group, datasetType)
	m, etag, err := document.Read(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		return &manifest{Format: manifestFormat}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the dataset's manifest: %w", err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("decoding %s: its format %d is unknown to this release", document.Key, m.Format)
	}
	m.etag = etag
	return m, nil
}

// manifestOf is the object of a manifest. The time and the import in it make every version's bytes its own, so that it
// needs no nonce.
func manifestOf(b *blob.Bucket, group, datasetType string) blob.Document[*manifest] {
	return blob.Document[*manifest]{Bucket: b, Key: manifestKey(group, datasetType)}
}

// write switches from the manifest that was read to this one, or fails with blob.ErrPrecondition.
func (m *manifest) write(ctx context.Context, b *blob.Bucket, group, datasetType string) error {
	if _, err := manifestOf(b, group, datasetType).Swap(ctx, m, m.etag); err != nil {
		return fmt.Errorf("switching the dataset's manifest: %w", err)
	}
	return nil
}

// done finds an import that has already switched the manifest. The version it reports is the current one: the data of
// the import itself may have been replaced since.
func (m *manifest) done(id string) (Version, bool) {
	return m.Current, slices.ContainsFunc(m.Imports, func(f finished) bool { return f.ID == id })
}

// add makes the version of a finished import current.
func (m *manifest) add(id string, mode Mode, parts []Part) {
	v := &m.Current
	v.Number++
	v.Mode = mode
	v.Imported = time.Now().UTC()
	for i := range parts {
		parts[i].Version, parts[i].Imported = v.Number, v.Imported
	}
	if mode == Full {
		v.Base, v.Parts = v.Number, nil
	}
	v.Parts = append(v.Parts, parts...)
	v.Rows = rowsOf(v.Parts)
	m.Imports = append([]finished{{id, v.Number}}, m.Imports...)
	m.Imports = m.Imports[:min(len(m.Imports), keptImports)]
}

func rowsOf(parts []Part) (rows int64) {
	for _, p := range parts {
		rows += p.Rows
	}
	return rows
}

// Remove takes all imported data of a dataset away, as deleting the dataset does. The manifest stays, without parts: a
// dataset made again in its place goes on counting versions, so no reader takes new data for old.
func Remove(ctx context.Context, b *blob.Bucket, group, datasetType string) error {
	for {
		m, err := readManifest(ctx, b, group, datasetType)
		if err != nil {
			return err
		}
		if len(m.Current.Parts) > 0 {
			m.add("", Full, nil)
			if err := m.write(ctx, b, group, datasetType); errors.Is(err, blob.ErrPrecondition) {
				continue
			} else if err != nil {
				return err
			}
		}
		return Sweep(ctx, b, group, datasetType, 0)
	}
}

// sweepGrace is how long a part outlives its last reference: longer than any training reads a version, and longer than
// any import runs before it refers to its first part.
const sweepGrace = 48 * time.Hour

// Sweep deletes parts that the manifest doesn't refer to and that were written longer than grace ago: what full imports
// have replaced, and what killed imports have left. Imports call it; nothing breaks if nobody does.
func Sweep(ctx context.Context, b *blob.Bucket, group, datasetType string, grace time.Duration) error {
	m, err := readManifest(ctx, b, group, datasetType)
	if err != nil {
		return err
	}
	referred := map[string]bool{manifestKey(group, datasetType): true}
	for _, p := range m.Current.Parts {
		referred[p.Key] = true
	}
	var old []string
	for info, err := range b.List(ctx, prefix(group, datasetType)) {
		if err != nil {
			return fmt.Errorf("sweeping replaced data: %w", err)
		}
		if !referred[info.Key] && time.Since(info.LastModified) >= grace {
			old = append(old, info.Key)
		}
	}
	if err := b.Delete(ctx, old...); err != nil {
		return fmt.Errorf("sweeping replaced data: %w", err)
	}
	return nil
}
