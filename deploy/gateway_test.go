package deploy_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/services/recommender"
)

// TestTheGatewayKnowsEveryPath: what a service answers can be reached from outside.
func TestTheGatewayKnowsEveryPath(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string][]string{"runtime": {recommender.ExplainPath, recommender.BatchResultPath}, "control": {"/", "/schedules"}}
	if !strings.Contains(string(config), "acl control path_beg /schedules/\n") {
		t.Error("the gateway does not pass on what is about one schedule")
	}
	for acl, operations := range map[string][]awsapi.Operation{"events": personalizeevents.Operations, "runtime": personalizeruntime.Operations} {
		for _, operation := range operations {
			paths[acl] = append(paths[acl], operation.Path)
		}
	}
	for acl, want := range paths {
		_, line, _ := strings.Cut(string(config), "acl "+acl+" path ")
		line, _, _ = strings.Cut(line, "\n")
		for _, path := range want {
			if !slices.Contains(strings.Fields(line), path) {
				t.Errorf("the gateway passes %s on as: %s; %s is missing", acl, line, path)
			}
		}
	}
}
