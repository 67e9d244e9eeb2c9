// Package modelstore publishes trained models to the bucket and brings them to the processes that answer with them.
//
// A published model is a folder `models/<solution>/<version>/`: its parts, each named by the SHA-256 of its bytes, and
// a manifest that lists them, named by the SHA-256 of its own. Nothing is ever written over, so a reader that holds a
// manifest's key holds the whole model or finds out that it does not: every byte is verified before a decoder sees it.
// Beside them stands a report of the model's quality, in a folder `report-<model id>/`. The pointer to a model is the
// ManifestKey of its solution version in the catalog, which moves by compare-and-swap.
//
// The retrainer calls Publish. The recommender and the session-updater hold a Registry, which follows the catalog and
// has the model of every active campaign and recommender loaded, warmed up and swapped in atomically; whatever fails on
// the way, the last good model stays.
package modelstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrCorrupt means that bytes do not belong to what the catalog or the manifest names: flipped, cut or missing.
	ErrCorrupt = errors.New("model is damaged")
	// ErrNotDeployed means that the catalog has no such campaign or recommender.
	ErrNotDeployed = errors.New("it does not exist")
	// ErrNotActive means that it exists but its status does not allow answers.
	ErrNotActive = errors.New("it is not active")
	// ErrUnavailable means that it is active, but its model could not be loaded yet.
	ErrUnavailable = errors.New("its model is not available")
)

// manifestFormat is the version of the manifest's layout; a reader refuses what it does not know.
const manifestFormat = 1

// Bounds of what a reader accepts, far above anything published: a damaged or foreign manifest must not decide how much
// memory is taken.
const (
	maxManifestBytes = 4 << 20
	maxPartBytes     = 16 << 30
	maxParts         = 256
)

// Manifest describes one published model.
type Manifest struct {
	// Format is the layout's version.
	Format int `json:"format"`
	// ModelID is the hash of recipe and parts: the same data and seed give the same id, wherever and whenever trained.
	ModelID string `json:"modelId"`
	// SolutionVersion is the ARN of the version this model was trained for.
	SolutionVersion string `json:"solutionVersion"`
	// Recipe is the recipe's name, such as aws-sims.
	Recipe string `json:"recipe"`
	// Params are the hyper-parameters used, as on the wire.
	Params map[string]string `json:"params,omitempty"`
	// Items is the number of items that the model scores.
	Items int `json:"items"`
	// Parts are the model's files.
	Parts []Part `json:"parts"`
	// Metrics are the offline metrics, by Personalize's names.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// DataCut says what the model has seen.
	DataCut DataCut `json:"dataCut"`
	// Trained is when training ended.
	Trained time.Time `json:"trained"`
}

// Part is one file of a model.
type Part struct {
	// Name is what the recipe's decoder knows the part by.
	Name string `json:"name"`
	// Key is the object's key in the bucket.
	Key string `json:"key"`
	// SHA256 is the hash of the bytes, in hex.
	SHA256 string `json:"sha256"`
	// Size is the number of bytes.
	Size int64 `json:"size"`
}

// DataCut is the state of the data that a model was trained on.
type DataCut struct {
	// Time is the start of training: every event acknowledged before it was read.
	Time time.Time `json:"time"`
	// Interactions, Users and Items count what was trained on, after filtering.
	Interactions int `json:"interactions"`
	Users        int `json:"users"`
	Items        int `json:"items"`
}

// newModelID names a model by what it computes: its recipe and its parts. Metrics, dates and places are left out, so
// that equal training gives equal ids. 128 bits keep the id short: it is a field name in every user's hash in Redis.
func newModelID(recipe string, parts []Part) string {
	lines := make([]string, 0, len(parts))
	for _, p := range parts {
		lines = append(lines, fmt.Sprintf("%s %d %q\n", p.SHA256, p.Size, p.Name))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("penchant model %d\n%q\n", manifestFormat, recipe) + strings.Join(lines, "")
	return hashOf([]byte(text))[:32]
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// folder is where a solution version's model lives: the last two segments of
// arn:aws:personalize:<region>:<account>:solution/<name>/<version id>.
func folder(solutionVersionARN string) (string, error) {
	_, resource, ok := strings.Cut(solutionVersionARN, ":solution/")
	name, version, ok2 := strings.Cut(resource, "/")
	if !ok || !ok2 || name == "" || version == "" || strings.Contains(version, "/") {
		return "", fmt.Errorf("%q is not a solution version's ARN", solutionVersionARN)
	}
	return "models/" + name + "/" + version, nil
}

const manifestPrefix = "manifest-"

// manifestHash reads the hash of a manifest out of its key models/…/manifest-<sha256>.json.
func manifestHash(key string) (string, error) {
	hash, ok := strings.CutSuffix(strings.TrimPrefix(path.Base(key), manifestPrefix), ".json")
	if !ok || !strings.HasPrefix(path.Base(key), manifestPrefix) || !isHash(hash) {
		return "", fmt.Errorf("%w: %q is not a manifest's key", ErrCorrupt, key)
	}
	return hash, nil
}

func isHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// parseManifest reads a manifest whose bytes have been verified, and checks that what it asks for is sane.
func parseManifest(key string, data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: reading the manifest: %w", ErrCorrupt, err)
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("manifest format %d is not known to this version (it reads %d)", m.Format, manifestFormat)
	}
	if len(m.Parts) == 0 || len(m.Parts) > maxParts {
		return m, fmt.Errorf("%w: manifest lists %d parts", ErrCorrupt, len(m.Parts))
	}
	names := map[string]bool{}
	for _, p := range m.Parts {
		switch {
		case names[p.Name]:
			return m, fmt.Errorf("%w: manifest lists part %q twice", ErrCorrupt, p.Name)
		case !isHash(p.SHA256) || p.Size < 0 || p.Size > maxPartBytes:
			return m, fmt.Errorf("%w: manifest's part %q has hash %q and size %d", ErrCorrupt, p.Name, p.SHA256, p.Size)
		case path.Dir(p.Key) != path.Dir(key):
			return m, fmt.Errorf("%w: manifest's part %q is outside its folder: %q", ErrCorrupt, p.Name, p.Key)
		}
		names[p.Name] = true
	}
	if id := newModelID(m.Recipe, m.Parts); id != m.ModelID {
		return m, fmt.Errorf("%w: manifest names model %q, its parts make %q", ErrCorrupt, m.ModelID, id)
	}
	return m, nil
}
