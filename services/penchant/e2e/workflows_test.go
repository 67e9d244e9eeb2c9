package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/services/control/workflow"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

func TestWorkflowsAreInstalled(t *testing.T) {
	t.Parallel()
	process := &installation{penchanttest.Start(t, "all", t.TempDir()), t}
	listed := decoded[[]workflow.Shipped](process, 0, "workflow", "list")
	if !slices.ContainsFunc(listed, func(s workflow.Shipped) bool { return s.Name == "pipeline" && s.Comment != "" }) {
		t.Errorf("listed are %+v", listed)
	}
	for range 2 { // the second finds it as it is
		made := decoded[operator.InstalledWorkflow](process, 0, "workflow", "install", "pipeline", "--as", "nightly")
		if made.Updated || !strings.HasSuffix(made.StateMachineARN, ":stateMachine:nightly") {
			t.Errorf("installed %+v", made)
		}
	}
	arn := decoded[operator.InstalledWorkflow](process, 0, "workflow", "install", "pipeline", "--as",
		"nightly").StateMachineARN
	const changed = `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`
	if err := process.API().CallStates(t.Context(), "UpdateStateMachine",
		&stepfunctions.UpdateStateMachineInput{StateMachineArn: &arn, Definition: new(changed)}, nil); err != nil {
		t.Fatal(err)
	}
	if made := decoded[operator.InstalledWorkflow](process, 0, "workflow", "install", "pipeline", "--as",
		"nightly"); !made.Updated || made.StateMachineARN != arn {
		t.Errorf("brought up to date: %+v", made)
	}
	var described stepfunctions.DescribeStateMachineOutput
	if err := process.API().CallStates(t.Context(), "DescribeStateMachine",
		&stepfunctions.DescribeStateMachineInput{StateMachineArn: &arn}, &described); err != nil {
		t.Fatal(err)
	}
	if outcome := command(t, process.DataDir, "workflow", "install", "nothing"); outcome.code != 2 ||
		!strings.Contains(outcome.stderr, "there are pipeline") {
		t.Errorf("an unknown workflow: %+v", outcome)
	}
	shipped, _ := workflow.ShippedDefinition("pipeline")
	if *described.Definition != shipped.Definition {
		t.Error("the state machine has another definition")
	}
}
