package main

import (
	"context"
	"fmt"

	"github.com/penchant-io/penchant/services/penchant/app"
)

// healthCmd asks a process of this machine whether it is ready: the health check of a container whose image has neither
// a shell nor curl. It reads the settings of where the process listens, so in the process's environment it needs no
// flags.
type healthCmd struct {
	HTTPAddr  string `help:"Address of the process's API." default:"127.0.0.1:8080"`
	AdminAddr string `help:"Address of the process's /healthz, where it has one of its own." default:""`
}

// Run returns nil if the process is ready, and otherwise its reasons.
func (c *healthCmd) Run(ctx context.Context) error {
	addr := c.HTTPAddr
	if c.AdminAddr != "" {
		addr = c.AdminAddr
	}
	if err := app.CheckHealth(ctx, addr); err != nil {
		return err
	}
	fmt.Println("ready")
	return nil
}
