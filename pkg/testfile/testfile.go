// Package testfile reads the files of the repository's testdata/ folder, from the tests of any package.
package testfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Path returns where a file of testdata/ is, by its name with slashes. Tests run in the folder of their package, so the
// repository begins at the nearest folder above that holds go.mod.
func Path(name string) string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", filepath.FromSlash(name))
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			panic(fmt.Sprintf("looking for the repository: %v", err))
		}
		dir = filepath.Dir(dir)
	}
}

// Read returns a file's content. It panics when there is none, as a literal with an error would not compile.
func Read(name string) []byte {
	content, err := os.ReadFile(Path(name))
	if err != nil {
		panic(err)
	}
	return content
}

// YAML decodes a file, whose keys must all be fields of T.
func YAML[T any](name string) T {
	var v T
	decoder := yaml.NewDecoder(bytes.NewReader(Read(name)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&v); err != nil {
		panic(fmt.Sprintf("decoding testdata/%s: %v", name, err))
	}
	return v
}
