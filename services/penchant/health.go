package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// HealthCmd asks a process of this machine whether it is ready: the health check of a container whose image has neither
// a shell nor curl. It reads the settings that say where the process listens, so beside the process it needs no flags.
type HealthCmd struct {
	HTTPAddr  string `help:"Address of the process's API." default:"127.0.0.1:8080"`
	AdminAddr string `help:"Address of the process's /healthz, where it has one of its own." default:""`
}

// healthTimeout is more than the readiness page takes when what it asks hangs.
const healthTimeout = 5 * time.Second

// Run returns nil if the process is ready, and otherwise its reasons.
func (c *HealthCmd) Run(ctx context.Context) error {
	addr := c.HTTPAddr
	if c.AdminAddr != "" {
		addr = c.AdminAddr
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
		return fmt.Errorf("address %q: it is the host:port where the process listens", addr)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	// An address that stands for every interface, such as 0.0.0.0:8080, reaches this machine too.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz/ready", nil)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	transport := &http.Transport{} // no proxy: the question is about this machine
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	defer answer.Body.Close()
	var page struct {
		Ready   bool
		Reasons map[string]string
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&page); err != nil {
		return fmt.Errorf("reading the readiness page of %s (status %d): %w", addr, answer.StatusCode, err)
	}
	if answer.StatusCode == http.StatusOK && page.Ready {
		fmt.Println("ready")
		return nil
	}
	var reasons []string
	for _, service := range slices.Sorted(maps.Keys(page.Reasons)) {
		reasons = append(reasons, service+": "+page.Reasons[service])
	}
	return errors.New("not ready: " + strings.Join(reasons, "; "))
}
