package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/operator"
)

const clicksMapping = `
when: '@.type == "click"'
event: {userId: $.user, sessionId: $.session, eventType: view, itemId: $.sku, sentAt: {path: $.at, unit: ms}}
`

func writeMapping(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBridgeCheckShowsWhatWouldBeSent(t *testing.T) {
	t.Parallel()
	check := func(mapping, records string) (lines []checked, code int) {
		t.Helper()
		var out bytes.Buffer
		err := (&bridgeCheckCmd{Mapping: writeMapping(t, mapping), TrackingID: "T"}).check(t.Context(),
			strings.NewReader(records), &out)
		if err != nil {
			code = exitCode(err)
		}
		if code == 1 && !errors.Is(err, operator.ErrProblems) {
			t.Errorf("got %v", err)
		}
		for decoder := json.NewDecoder(&out); decoder.More(); {
			var line checked
			if err := decoder.Decode(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		return lines, code
	}
	good := `{"type":"click","user":"u","sku":"a","at":1700000000000}` + "\n"
	lines, code := check(clicksMapping, good+"\n"+`{"type":"other"}`+"\n")
	if code != 0 || len(lines) != 2 || lines[0].Outcome != "sent" || lines[1].Outcome != "passed over" ||
		lines[1].Line != 3 {
		t.Errorf("exit code %d: %+v", code, lines)
	}
	if call := lines[0].PutEvents[0]; *call.TrackingId != "T" || *call.UserId != "u" ||
		*call.EventList[0].ItemId != "a" {
		t.Errorf("%+v", call)
	}
	if lines, code = check(clicksMapping, good+"{\n"); code != 1 || lines[1].Outcome != "dead letter" ||
		lines[1].Reason == "" {
		t.Errorf("exit code %d: %+v", code, lines)
	}
	if _, code = check("event: {}", good); code != 2 {
		t.Errorf("a wrong mapping: exit code %d", code)
	}
	if _, code = check(clicksMapping, ""); code != 2 {
		t.Errorf("no records: exit code %d", code)
	}
}

func TestBridgeSettings(t *testing.T) {
	given := []string{"bridge", "--bridge-topics", "a,b", "--bridge-mapping", "m.yaml", "--bridge-tracking-id", "t"}
	var c commands
	command, err := parseCommand(t.Context(), &c, append(given, "--kafka-brokers", "k:1"))
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Bridge.Run.Bridge; command.Command() != "bridge run" || len(s.Topics) != 2 ||
		s.Group != bridge.ConsumerGroup || s.From != "earliest" ||
		s.Endpoint != "http://127.0.0.1:8080" || s.Concurrency != 16 || c.Bridge.Run.KafkaBrokers[0] != "k:1" {
		t.Errorf("%s: %+v", command.Command(), s)
	}
	for _, wrong := range [][]string{
		{"--bridge-endpoint", "127.0.0.1:8080"}, {"--bridge-from", "yesterday"}, {"--bridge-concurrency", "0"},
		{"--account-id", "1"},
	} {
		if _, err := parseCommand(t.Context(), &commands{}, append(given, wrong...)); err == nil ||
			!strings.Contains(err.Error(), wrong[0]) {
			t.Errorf("%v: got %v", wrong, err)
		}
	}
	if _, err := parseCommand(t.Context(), &commands{}, []string{"bridge"}); err == nil ||
		!strings.Contains(err.Error(), "--bridge-topics") {
		t.Errorf("without topics: %v", err)
	}
	t.Setenv("PENCHANT_BRIDGE_TOPICS", "clicks")
	t.Setenv("PENCHANT_BRIDGE_MAPPING", "/m.yaml")
	t.Setenv("PENCHANT_BRIDGE_TRACKING_ID", "t")
	if _, err := parseCommand(t.Context(), &commands{}, []string{"bridge"}); err != nil {
		t.Errorf("by the environment: %v", err)
	}
}
