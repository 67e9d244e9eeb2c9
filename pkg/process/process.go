// Package process has the parts of every Penchant process: services that run together and stop together, the HTTP
// server with its health and metrics pages, and the logger. services/penchant, which holds main, is its only caller
// besides tests; services implement Service and know nothing else of it.
package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"
)

// Service is a long-running part of a process.
type Service interface {
	// Name is the service's name in logs and on the readiness page.
	Name() string
	// Run works until ctx ends, then drains, commits and returns nil. Whatever it started has stopped when it returns.
	Run(ctx context.Context) error
	// Ready returns nil when the service can do its work, and otherwise the reason why it can't. It answers at once and
	// may be called before and during Run.
	Ready(ctx context.Context) error
}

// Run runs the services until ctx ends or the first of them fails, stops the others, waits for all, and returns the
// first failure.
func Run(ctx context.Context, log *zap.Logger, services ...Service) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range services {
		group.Go(func() error {
			started := time.Now()
			err := s.Run(ctx)
			switch {
			case err != nil && !errors.Is(err, context.Canceled):
				return fmt.Errorf("%s: %w", s.Name(), err)
			case ctx.Err() == nil:
				return fmt.Errorf("%s: ended before it was asked to", s.Name())
			}
			log.Info("service stopped", zap.String("service", s.Name()), zap.Duration("ran", time.Since(started)))
			return nil
		})
	}
	return group.Wait()
}

// NewLogger returns the process's logger: sentences with fields, one JSON object a line, or aligned text where format
// is "console". Levels are zap's names.
func NewLogger(level, format string) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: it is one of debug, info, warn, error", level)
	}
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(lvl)
	config.Sampling = nil
	config.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	config.DisableStacktrace = true
	config.DisableCaller = true
	switch format {
	case "json":
	case "console":
		config.Encoding = "console"
		config.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		config.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
	default:
		return nil, fmt.Errorf("log format %q: it is json or console", format)
	}
	return config.Build()
}
