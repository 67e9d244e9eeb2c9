package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/stepfunctions"
	"github.com/penchant-io/penchant/services/control/workflow"
)

// WorkflowCmd holds the commands about the workflows that come with Penchant.
type WorkflowCmd struct {
	List    WorkflowListCmd    `cmd:"" help:"List the workflows that come with Penchant."`
	Show    WorkflowShowCmd    `cmd:"" help:"Print the definition of one, to read or to change."`
	Install WorkflowInstallCmd `cmd:"" help:"Create a state machine of one, or bring the definition of an installed one up to date."`
}

// WorkflowListCmd lists them.
type WorkflowListCmd struct{ operated }

// Run prints the list.
func (c *WorkflowListCmd) Run() error { return c.print(shippedList(workflow.ShippedDefinitions())) }

type shippedList []workflow.Shipped

// Page is the list for people.
func (l shippedList) Page() string {
	var page strings.Builder
	for _, s := range l {
		fmt.Fprintf(&page, "%-12s  %s\n", s.Name, s.Comment)
	}
	return page.String()
}

// WorkflowShowCmd prints a definition.
type WorkflowShowCmd struct {
	Name string `arg:"" help:"As penchant workflow list has it."`
}

// Run prints the definition as it is.
func (c *WorkflowShowCmd) Run() error {
	s, err := shippedDefinition(c.Name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, s.Definition)
	return err
}

// WorkflowInstallCmd makes a state machine of a shipped definition.
type WorkflowInstallCmd struct {
	Name    string `arg:"" help:"As penchant workflow list has it."`
	As      string `env:"-" placeholder:"NAME" help:"Name of the state machine, if it is to have another one."`
	RoleARN string `env:"-" name:"role-arn" placeholder:"ARN" default:"arn:aws:iam::000000000000:role/penchant" help:"Its role, which Penchant shows and does not ask."`
	operated
}

// Run installs, and prints the state machine.
func (c *WorkflowInstallCmd) Run(ctx context.Context) error {
	s, err := shippedDefinition(c.Name)
	if err != nil {
		return err
	}
	credentials, err := awsapi.ParseCredentials(c.AccessKeys)
	if err != nil {
		return unfinishedError{err}
	}
	endpoints, err := readEndpoints(c.DataDir)
	if err != nil {
		return unfinishedError{err}
	}
	client := awsapi.NewClient(cmp.Or(endpoints["http"], "http://"+c.HTTPAddr), credentials[0], c.Region)
	defer client.Close()
	installed, err := install(ctx, client, cmp.Or(c.As, s.Name), s.Definition, c.RoleARN)
	if err != nil {
		return unfinishedError{fmt.Errorf("installing %s: %w", s.Name, err)}
	}
	return c.print(installed)
}

// installedWorkflow is what an installation led to.
type installedWorkflow struct {
	StateMachineARN string `json:"stateMachineArn"`
	// Updated says that there was one of that name with another definition.
	Updated bool `json:"updated"`
}

// Page is the result for people.
func (w *installedWorkflow) Page() string {
	if w.Updated {
		return "updated   " + w.StateMachineARN + "\n"
	}
	return "installed " + w.StateMachineARN + "\n"
}

// install creates a state machine, or gives the one of that name the definition. Executions that run keep theirs.
func install(ctx context.Context, client *awsapi.Client, name, definition, role string) (*installedWorkflow, error) {
	var created stepfunctions.CreateStateMachineOutput
	err := client.CallStates(ctx, "CreateStateMachine",
		&stepfunctions.CreateStateMachineInput{Name: &name, Definition: &definition, RoleArn: &role}, &created)
	if err == nil {
		return &installedWorkflow{StateMachineARN: *created.StateMachineArn}, nil
	}
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != "StateMachineAlreadyExists" {
		return nil, err
	}
	var listed stepfunctions.ListStateMachinesOutput
	for page := (&stepfunctions.ListStateMachinesInput{}); ; page.NextToken = listed.NextToken {
		listed = stepfunctions.ListStateMachinesOutput{}
		if err := client.CallStates(ctx, "ListStateMachines", page, &listed); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(listed.StateMachines, func(m stepfunctions.StateMachineListItem) bool { return *m.Name == name })
		if i >= 0 {
			arn := listed.StateMachines[i].StateMachineArn
			err := client.CallStates(ctx, "UpdateStateMachine",
				&stepfunctions.UpdateStateMachineInput{StateMachineArn: arn, Definition: &definition, RoleArn: &role}, nil)
			return &installedWorkflow{StateMachineARN: *arn, Updated: true}, err
		}
		if listed.NextToken == nil {
			return nil, err
		}
	}
}

func shippedDefinition(name string) (workflow.Shipped, error) {
	s, ok := workflow.ShippedDefinition(name)
	if !ok {
		var known []string
		for _, s := range workflow.ShippedDefinitions() {
			known = append(known, s.Name)
		}
		return s, unfinishedError{fmt.Errorf("no workflow %q comes with Penchant: there are %s", name, strings.Join(known, ", "))}
	}
	return s, nil
}
