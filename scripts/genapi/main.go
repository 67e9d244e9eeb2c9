// Command genapi generates pkg/awsapi/personalize, personalizeevents, personalizeruntime, stepfunctions and scheduler from the public API
// models of Amazon Personalize, AWS Step Functions and EventBridge Scheduler, in the form in which botocore carries them:
//
//	go run ./scripts/genapi -models "$(python3 -c 'import botocore,os;print(os.path.dirname(botocore.__file__))')/data" -out pkg/awsapi
//
// It takes facts only: names, types and constraints of members, and the operations. No documentation text is copied.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
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
	models := flag.String("models", "", "folder with personalize/, personalize-events/, personalize-runtime/, stepfunctions/ and scheduler/ (botocore's data folder)")
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
	for _, service := range services {
		api, err := readModel(filepath.Join(models, service.model, "service-2.json.gz"))
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

func readModel(path string) (*model, error) {
	zipped, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	api := new(model)
	if err := json.NewDecoder(unzipped).Decode(api); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return api, nil
}
