package tracker

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
)

// eachMember reads what encoding/json reads, and refuses what it refuses.
func FuzzEachMember(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` { "a" : "b" , "c" : null } `, `{"a":true,"b":false}`, `{"a":1e5,"b":-0.5}`, `{"a":01}`, `{"a":.5}`,
		`{"\u00e4\n":"\\\""}`, `{"ä":"\ud800"}`, "{\"a\":\"\x01\"}", `{"a":"b}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":[1]}`, `{"a":{}}`, `{} {}`, `[]`, `null`, ``,
		`{"a":1"b":2}`, `{"a":nul}`, `{"a":1 2}`, "{\"a\":\"\xff\"}", `{"a":"\x"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := map[string]any{}
		err := eachMember(text, func(key string, value any) error {
			got[key] = value
			return nil
		})
		if errors.Is(err, errNested) {
			return
		}
		want, ok := byLibrary(text)
		if (err == nil) != ok || ok && !maps.Equal(got, want) {
			t.Fatalf("%q: got %v, %v; the library says %v, %v", text, got, err, want, ok)
		}
	})
}

func byLibrary(text string) (map[string]any, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var values map[string]any
	if decoder.Decode(&values) != nil || values == nil {
		return nil, false
	}
	_, err := decoder.Token()
	return values, errors.Is(err, io.EOF)
}

func BenchmarkEachMember(b *testing.B) {
	const text = `{"device":"phone","price":9.5,"numRatings":12}`
	b.Run("eachMember", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := eachMember(text, func(string, any) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := byLibrary(text); !ok {
				b.Fatal("refused")
			}
		}
	})
}
