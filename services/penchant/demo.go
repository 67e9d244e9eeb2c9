package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/penchant/demo"
)

// DemoCmd runs every service in this process, in a folder of its own, and tells the demo's story on it.
type DemoCmd struct {
	Exit bool   `help:"End after the story instead of serving on."`
	Seed uint64 `help:"Seed of the generated shop." default:"7"`
}

// Run tells the story, then serves until ctx ends.
func (c *DemoCmd) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "penchant-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	started := time.Now()
	settings := demoSettings(dir)
	log, err := settings.logger()
	if err != nil {
		return err
	}
	app, err := newApp(ctx, settings, allTargets, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- app.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	api := awsapi.NewClient(app.Endpoint(), app.credentials[0], settings.Region)
	defer api.Close()
	show := demo.New(app, demo.NewShop(c.Seed, started), api, os.Stdout)
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
func demoSettings(dir string) *Settings {
	const anyPort = "127.0.0.1:0"
	s := defaultSettings()
	s.DataDir = dir
	s.HTTPAddr, s.KafkaAddr, s.RedisAddr, s.S3Addr = anyPort, anyPort, anyPort, anyPort
	s.ArchiveFlushInterval = 5 * time.Second
	s.LogLevel, s.LogFormat = "error", "console"
	return s
}
