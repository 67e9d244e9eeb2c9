package blob

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Skew returns how far the store's clock is ahead of this process's, by the Date header of its answers, which has whole
// seconds. A store refuses requests from a clock that is a quarter of an hour off; the catalog's leases tolerate much
// less.
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	// Whatever the store answers to a request without a signature has the header, and a wrong clock can't spoil it.
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, c.core.EndpointURL().String(), nil)
	if err != nil {
		return 0, fmt.Errorf("asking the store for its time: %w", err)
	}
	before := time.Now()
	response, err := (&http.Client{Transport: c.transport}).Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking the store for its time: %w", err)
	}
	defer response.Body.Close()
	now, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("asking the store for its time: its answer has the date %q", response.Header.Get("Date"))
	}
	// The header cuts off the second's fraction: on average half a second.
	return now.Add(time.Second / 2).Sub(before.Add(time.Since(before) / 2)), nil
}
