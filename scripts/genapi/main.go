// Command genapi generates pkg/awsapi/personalize, personalizeevents, personalizeruntime, stepfunctions and scheduler
// from the public API models of Amazon Personalize, AWS Step Functions and EventBridge Scheduler. `make generate` runs
// it on the wheel of botocore (Apache-2.0), which carries them, in the version that requirements.txt pins by its
// checksum:
//
//	go run ./scripts/genapi -models .tools/botocore-1.44.5-py3-none-any.whl
//
// It takes facts only: names, types and constraints of members, and the operations. No documentation text is copied.
package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// services maps the models' folders to the packages made of them.
var services = []struct{ model, pkg, title string }{
	{"personalize/2018-05-22", "personalize", "the control plane, which creates and describes resources"},
	{"personalize-events/2018-03-22", "personalizeevents", "the events service, which takes interactions, items and users"},
	{"personalize-runtime/2018-05-22", "personalizeruntime", "the runtime service, which answers with recommendations"},
	{"stepfunctions/2016-11-23", "stepfunctions", "AWS Step Functions, which runs workflows"},
	{"scheduler/2021-06-30", "scheduler", "EventBridge Scheduler, which starts workflows at certain times"},
}

func main() {
	models := flag.String("models", "", "botocore's wheel")
	out := flag.String("out", "pkg/awsapi", "folder in which the packages are written")
	flag.Parse()
	if err := run(*models, *out); err != nil {
		fmt.Fprintln(os.Stderr, "genapi:", err)
		os.Exit(1)
	}
}

func run(models, out string) error {
	if models == "" {
		return errors.New("-models is missing")
	}
	wheel, err := zip.OpenReader(models)
	if err != nil {
		return fmt.Errorf("opening %s: %w", models, err)
	}
	defer func() { _ = wheel.Close() }() // only read
	for _, service := range services {
		api, err := readModel(wheel, path.Join("botocore/data", service.model, "service-2.json.gz"))
		if err != nil {
			return err
		}
		source, err := generate(api, service.pkg, service.title)
		if err != nil {
			return fmt.Errorf("generating %s: %w", service.pkg, err)
		}
		if err := os.MkdirAll(filepath.Join(out, service.pkg), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, service.pkg, "api.gen.go"), source, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A model is the part of a service-2.json that is used here.
type model struct {
	Metadata   struct{ ServiceFullName, APIVersion string }
	Operations map[string]operation
	Shapes     map[string]*shape
}

type operation struct {
	Name   string
	HTTP   struct{ RequestURI string }
	Input  *ref
	Output *ref
	Errors []ref
}

type ref struct {
	Shape     string
	JSONValue bool
}

type shape struct {
	Type      string
	Required  []string
	Members   members
	Member    *ref
	Key       *ref
	Value     *ref
	Min, Max  *float64
	Pattern   string
	Enum      []string
	Sensitive bool
	Exception bool
}

// members keeps the order of the model, which is the order in which violations are reported.
type members []member

type member struct {
	name string
	ref
}

// UnmarshalJSON reads an object's members in their order.
func (m *members) UnmarshalJSON(data []byte) error {
	var byName map[string]ref
	if err := json.Unmarshal(data, &byName); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil { // {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			return err
		}
		*m = append(*m, member{name: name.(string), ref: byName[name.(string)]})
	}
	return nil
}

func readModel(wheel fs.FS, name string) (*model, error) {
	zipped, err := fs.ReadFile(wheel, name)
	if err != nil {
		return nil, err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	api := new(model)
	if err := json.NewDecoder(unzipped).Decode(api); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return api, nil
}
