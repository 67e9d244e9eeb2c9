package app

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

// HealthTimeout is how long CheckHealth may take: more than the readiness page takes when what it asks hangs.
const HealthTimeout = 5 * time.Second

// CheckHealth returns nil if the process that listens at addr on this machine is ready, and otherwise its reasons.
func CheckHealth(ctx context.Context, addr string) error {
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
		return fmt.Errorf("address %q: want the host:port where the process listens", addr)
	}
	ctx, cancel := context.WithTimeout(ctx, HealthTimeout)
	defer cancel()
	// An address of all interfaces, such as 0.0.0.0:8080, reaches this machine too.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz/ready", nil)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	transport := &http.Transport{} // no proxy, since the process is on this machine
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	defer resp.Body.Close()
	var page struct {
		Ready   bool
		Reasons map[string]string
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&page); err != nil {
		return fmt.Errorf("reading the readiness page of %s (status %d): %w", addr, resp.StatusCode, err)
	}
	if resp.StatusCode == http.StatusOK && page.Ready {
		return nil
	}
	var reasons []string
	for _, service := range slices.Sorted(maps.Keys(page.Reasons)) {
		reasons = append(reasons, service+": "+page.Reasons[service])
	}
	return errors.New("not ready: " + strings.Join(reasons, "; "))
}
