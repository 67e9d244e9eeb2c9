package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/penchant-io/penchant/services/penchant/app"
	"github.com/penchant-io/penchant/services/penchant/demo"
)

// demoCmd runs every service in this process, in a folder of its own, and shows the demo on it.
type demoCmd struct {
	Exit bool   `help:"End after the story instead of serving on."`
	Seed uint64 `help:"Seed of the generated shop." default:"7"`
}

// Run tells the story, then serves until ctx ends.
func (c *demoCmd) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "penchant-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	started := time.Now()
	settings, err := demoSettings(dir)
	if err != nil {
		return err
	}
	log, err := settings.Logger()
	if err != nil {
		return err
	}
	all, err := app.New(ctx, app.Config{Settings: settings, Target: app.All, Log: log})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- all.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	api := all.Client()
	defer api.Close()
	show := demo.New(all, demo.NewShop(c.Seed, started), api, os.Stdout)
	if err := show.Tell(ctx, started); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: nothing went wrong
		}
		return err
	}
	if c.Exit {
		return nil
	}
	show.Invite(dir)
	<-ctx.Done()
	return nil
}

// demoSettings are ordinary settings with free ports, short intervals and a folder of their own.
func demoSettings(dir string) (*app.Settings, error) {
	const anyPort = "127.0.0.1:0"
	s := &app.Settings{}
	if err := kong.ApplyDefaults(s, kong.Vars{"data_dir": dir}); err != nil {
		return nil, fmt.Errorf("applying the default settings: %w", err)
	}
	s.HTTPAddr, s.KafkaAddr, s.RedisAddr, s.S3Addr = anyPort, anyPort, anyPort, anyPort
	s.Firehose.FlushInterval = 5 * time.Second
	s.LogLevel, s.LogFormat = "error", "console"
	return s, nil
}
