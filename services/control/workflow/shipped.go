package workflow

import (
	"embed"
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// Shipped is a definition that comes with Penchant, to be installed as it is or to be changed.
type Shipped struct {
	Name string `json:"name"`
	// Comment says what it does, as the definition does itself.
	Comment    string `json:"comment"`
	Definition string `json:"-"`
}

//go:embed definitions/*.json
var definitions embed.FS

// ShippedDefinitions are all of them, by name.
func ShippedDefinitions() []Shipped {
	files, err := definitions.ReadDir("definitions")
	if err != nil {
		panic("workflow: the shipped definitions are not in the binary: " + err.Error())
	}
	shipped := make([]Shipped, len(files))
	for i, file := range files {
		content, err := definitions.ReadFile(path.Join("definitions", file.Name()))
		s := Shipped{Name: strings.TrimSuffix(file.Name(), ".json"), Definition: string(content)}
		if err == nil {
			err = json.Unmarshal(content, &struct{ Comment *string }{&s.Comment})
		}
		if err != nil {
			panic("workflow: reading the shipped definition " + file.Name() + ": " + err.Error())
		}
		shipped[i] = s
	}
	return shipped
}

// ShippedDefinition finds one by its name.
func ShippedDefinition(name string) (Shipped, bool) {
	shipped := ShippedDefinitions()
	i := slices.IndexFunc(shipped, func(s Shipped) bool { return s.Name == name })
	if i < 0 {
		return Shipped{}, false
	}
	return shipped[i], true
}
