package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penchant-io/penchant/services/control/workflow"
	"github.com/penchant-io/penchant/services/penchant/operator"
)

// workflowCmd holds the commands about the workflows that come with Penchant.
type workflowCmd struct {
	List    workflowListCmd    `cmd:"" help:"List the workflows that come with Penchant."`
	Show    workflowShowCmd    `cmd:"" help:"Print the definition of one, to read or to change."`
	Install workflowInstallCmd `cmd:"" help:"Create a state machine of one, or bring the definition of an installed one up to date."`
}

// workflowListCmd lists them.
type workflowListCmd struct{ operated }

// Run prints the list.
func (c *workflowListCmd) Run() error {
	return c.print(operator.ShippedWorkflows(workflow.ShippedDefinitions()))
}

// workflowShowCmd prints a definition.
type workflowShowCmd struct {
	Name string `arg:"" help:"As penchant workflow list has it."`
}

// Run prints the definition as it is.
func (c *workflowShowCmd) Run() error {
	s, err := shippedDefinition(c.Name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, s.Definition)
	return err
}

// workflowInstallCmd makes a state machine of a shipped definition.
type workflowInstallCmd struct {
	Name    string `arg:"" help:"As penchant workflow list has it."`
	As      string `env:"-" placeholder:"NAME" help:"Name of the state machine, if it is to have another one."`
	RoleARN string `env:"-" name:"role-arn" placeholder:"ARN" default:"arn:aws:iam::000000000000:role/penchant" help:"Its role, which Penchant shows and does not ask."`
	operated
}

// Run installs, and prints the state machine.
func (c *workflowInstallCmd) Run(ctx context.Context) error {
	s, err := shippedDefinition(c.Name)
	if err != nil {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return unfinishedError{err}
	}
	defer client.Close()
	installed, err := operator.InstallWorkflow(ctx, client, cmp.Or(c.As, s.Name), s.Definition, c.RoleARN)
	if err != nil {
		return unfinishedError{fmt.Errorf("installing %s: %w", s.Name, err)}
	}
	return c.print(installed)
}

func shippedDefinition(name string) (workflow.Shipped, error) {
	s, ok := workflow.ShippedDefinition(name)
	if !ok {
		var known []string
		for _, s := range workflow.ShippedDefinitions() {
			known = append(known, s.Name)
		}
		return s, unfinishedError{fmt.Errorf("no workflow %q comes with Penchant: there are %s", name,
			strings.Join(known, ", "))}
	}
	return s, nil
}
