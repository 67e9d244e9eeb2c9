package main

import (
	"context"

	"github.com/alecthomas/kong"

	"github.com/penchant-io/penchant/services/bridge"
	"github.com/penchant-io/penchant/services/penchant/app"
)

// targetCmd runs one target.
type targetCmd struct {
	app.Settings
}

// Run serves until ctx ends.
func (c *targetCmd) Run(ctx context.Context, command *kong.Context) error {
	return serve(ctx, app.Config{Settings: &c.Settings, Target: app.Part(command.Command())})
}

// bridgeCmd makes events of the records of a web server's own topic.
type bridgeCmd struct {
	Run   bridgeRunCmd   `cmd:"" default:"withargs" help:"Read the topics, and put what the mapping makes of their records."`
	Check bridgeCheckCmd `cmd:"" help:"Show what a mapping makes of the records on standard input, one JSON object a line."`
}

// bridgeRunCmd runs the bridge.
type bridgeRunCmd struct {
	Bridge       bridge.Options `embed:""`
	app.Settings `group:"Settings, as of the targets:"`
}

// Validate returns an error that names the wrong setting. kong calls it after parsing.
func (c *bridgeRunCmd) Validate() error {
	if err := c.Bridge.Validate(); err != nil {
		return err
	}
	return c.Settings.Validate()
}

// Run forwards until ctx ends.
func (c *bridgeRunCmd) Run(ctx context.Context) error {
	return serve(ctx, app.Config{Settings: &c.Settings, Target: app.Bridge, Bridge: &c.Bridge})
}

func serve(ctx context.Context, cfg app.Config) error {
	log, err := cfg.Settings.Logger()
	if err != nil {
		return err
	}
	cfg.Log = log
	process, err := app.New(ctx, cfg)
	if err != nil {
		return err
	}
	return process.Run(ctx)
}
