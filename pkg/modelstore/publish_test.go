package modelstore

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
)

const versionARN = account + "solution/taste/0001"

func TestPublishedModelScoresAsTheTrainedOne(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	for _, r := range recipe.All() {
		t.Run(r.Name, func(t *testing.T) {
			m := train(t, r.Name, 1)
			trained := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			key, id, err := Publish(t.Context(), bucket, versionARN, r.Name, m, Meta{
				Metrics: map[string]float64{"coverage": 0.5}, DataCut: DataCut{Interactions: 320}, Trained: trained,
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(key, "models/taste/0001/manifest-") {
				t.Errorf("manifest stands at %s", key)
			}
			loaded, err := Load(t.Context(), bucket, key, "")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(scores(t, m), scores(t, loaded.Model)) {
				t.Error("the loaded model scores differently")
			}
			if loaded.ModelID != id || loaded.Recipe != r || loaded.Manifest.Metrics["coverage"] != 0.5 ||
				loaded.Manifest.DataCut.Interactions != 320 || !loaded.Manifest.Trained.Equal(trained) {
				t.Errorf("loaded %s by %s with manifest %+v", loaded.ModelID, loaded.Recipe.Name, loaded.Manifest)
			}
		})
	}
}

func TestModelIDIsTheModelAlone(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	publish := func(arn string, seed uint64, trained time.Time) string {
		t.Helper()
		_, id, err := Publish(t.Context(), bucket, arn, recipeName, train(t, recipeName, seed), Meta{Trained: trained})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := publish(versionARN, 1, time.Unix(1, 0))
	if again := publish(account+"solution/other/0002", 1, time.Unix(2, 0)); again != first {
		t.Errorf("the same training under another version and date gave id %s, not %s", again, first)
	}
	if other := publish(versionARN, 2, time.Unix(1, 0)); other == first {
		t.Error("another model has the same id")
	}
}

func TestPublishRefusesWhatIsNoVersion(t *testing.T) {
	m := train(t, recipeName, 1)
	for _, arn := range []string{"", "arn:aws:personalize:us-east-1:0:solution/taste", account +
		"solution/taste/../x", account + "campaign/c/1"} {
		if _, _, err := Publish(t.Context(), nil, arn, recipeName, m, Meta{}); err == nil {
			t.Errorf("published under %q", arn)
		}
	}
}

func TestPublishReportsWhatDoesNotReadBack(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	if _, _, err := Publish(
		t.Context(), bucket, versionARN, "aws-no-recipe", train(t, recipeName, 1), Meta{},
	); err == nil {
		t.Error("published a model that no recipe loads")
	}
	if _, _, err := Publish(t.Context(), bucket, versionARN, "aws-sims", train(t, recipeName, 1), Meta{}); err == nil {
		t.Error("published a model under a recipe that cannot load it")
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			for _, object := range []string{"manifest", "part"} {
				arn := account + "solution/" + object + "/" + strings.ReplaceAll(name, " ", "")
				key, _, err := Publish(t.Context(), bucket, arn, recipeName, train(t, recipeName, 1), Meta{})
				if err != nil {
					t.Fatal(err)
				}
				target := key
				if object == "part" {
					loaded, err := Load(t.Context(), bucket, key, "")
					if err != nil {
						t.Fatal(err)
					}
					target = loaded.Manifest.Parts[0].Key
				}
				if err := damage(bucket, t.Context(), target); err != nil {
					t.Fatal(err)
				}
				if _, err := Load(t.Context(), bucket, key, t.TempDir()); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: loading gave %v", object, err)
				}
			}
		})
	}
}

func TestLoadRefusesAForeignManifest(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	manifest := func(parts string) string {
		return `{"format":1,"modelId":"x","recipe":"aws-sims","parts":[` + parts + `]}`
	}
	hash := strings.Repeat("a", 64)
	part := func(key, sha, size string) string {
		return `{"name":"p","key":"` + key + `","sha256":"` + sha + `","size":` + size + `}`
	}
	for name, content := range map[string]string{
		"not JSON":         "{",
		"unknown format":   `{"format":2}`,
		"no parts":         manifest(""),
		"outside folder":   manifest(part("catalog/secret.json", hash, "1")),
		"hash is a path":   manifest(part("models/a/b/x", "../../../etc/passwd", "1")),
		"negative size":    manifest(part("models/a/b/x", hash, "-1")),
		"immense size":     manifest(part("models/a/b/x", hash, "9000000000000000000")),
		"same name twice":  manifest(part("models/a/b/x", hash, "1") + "," + part("models/a/b/x", hash, "1")),
		"another model id": manifest(part("models/a/b/x", hash, "1")),
	} {
		t.Run(name, func(t *testing.T) {
			key := "models/a/b/manifest-" + hashOf([]byte(content)) + ".json"
			if _, err := bucket.Put(t.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(t.Context(), bucket, key, ""); err == nil {
				t.Error("loaded")
			}
		})
	}
	for _, key := range []string{"", "manifest.json", "models/a/b/manifest-zz.json", "models/a/b/" + hash + ".json"} {
		if _, err := Load(t.Context(), bucket, key, ""); !errors.Is(err, ErrCorrupt) {
			t.Errorf("key %q gave %v", key, err)
		}
	}
}

func TestCacheServesWithoutTheBucketAndMendsItself(t *testing.T) {
	bucket, dir := embeddedtest.Bucket(t), t.TempDir()
	key, _, err := Publish(t.Context(), bucket, versionARN, recipeName, train(t, recipeName, 1), Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), nil, key, dir); err == nil {
		t.Fatal("loaded from an empty cache")
	}
	first, err := Load(t.Context(), bucket, key, dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(t.Context(), nil, key, dir)
	if err != nil {
		t.Fatal("from the cache alone:", err)
	}
	if !slices.Equal(scores(t, first.Model), scores(t, again.Model)) {
		t.Error("the cached model scores differently")
	}

	file := filepath.Join(dir, first.Manifest.Parts[0].SHA256)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), nil, key, dir); err == nil {
		t.Error("loaded a rotten file")
	}
	for _, b := range []*blob.Bucket{bucket, nil} { // mended, then there again
		if _, err := Load(t.Context(), b, key, dir); err != nil {
			t.Error("after the file rotted:", err)
		}
	}
}

// broken is a model whose parts no decoder accepts, or whose scores are no numbers.
type broken struct{ model.Model }

func (broken) Parts() ([]model.Part, error) {
	return []model.Part{{Name: "junk", Data: []byte("junk")}}, nil
}

func TestPublishNamesNothingThatDoesNotLoad(t *testing.T) {
	key, id, err := Publish(
		t.Context(), embeddedtest.Bucket(t), versionARN, recipeName, broken{train(t, recipeName, 1)}, Meta{},
	)
	if err == nil || key != "" || id != "" {
		t.Errorf("published %q %q: %v", key, id, err)
	}
}

func TestReportsStandBesideModels(t *testing.T) {
	bucket := embeddedtest.Bucket(t)
	folder, err := PublishReport(
		t.Context(), bucket, versionARN, "abc",
		map[string][]byte{"report.json": []byte("{}"), "metrics.svg": []byte("<svg/>")},
	)
	if err != nil || folder != "models/taste/0001/report-abc" {
		t.Fatal(folder, err)
	}
	if again, err := PublishReport(
		t.Context(), bucket, versionARN, "abc", map[string][]byte{"report.json": []byte("{}")},
	); err != nil || again != folder {
		t.Errorf("published again: %q, %v", again, err)
	}
	if err := Prune(t.Context(), bucket, versionARN); err != nil {
		t.Fatal(err)
	}
	files, err := ReadReport(t.Context(), bucket, folder)
	if err != nil || len(files) != 2 || string(files["metrics.svg"]) != "<svg/>" {
		t.Errorf("read %q, %v", files, err)
	}
	if none, err := ReadReport(t.Context(), bucket, "models/taste/0001/report-other"); err != nil || len(none) != 0 {
		t.Errorf("a folder without files: %q, %v", none, err)
	}
	if _, err := PublishReport(t.Context(), bucket, "arn:aws:personalize:::campaign/c", "abc", nil); err == nil {
		t.Error("a campaign has a report")
	}
}
