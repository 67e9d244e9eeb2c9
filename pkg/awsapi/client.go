package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Client calls a Router, or AWS: it encodes, signs and sends, and turns refusals back into *Error. It is safe for
// concurrent use and does not retry.
type Client struct {
	endpoint   string
	credential Credential
	region     string
	http       *http.Client
}

// NewClient returns a client of the services at an endpoint (http://host:port).
func NewClient(endpoint string, credential Credential, region string) *Client {
	return &Client{
		endpoint:   strings.TrimSuffix(endpoint, "/"),
		credential: credential,
		region:     region,
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
			Timeout:   time.Minute,
		},
	}
}

// Close closes the connections that no call uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call makes a control plane call. out may be nil; a refusal is an *Error.
func (c *Client) Call(ctx context.Context, operation string, in, out any) error {
	return c.send(ctx, controlJSON, "/", operation, in, out)
}

// CallStates makes a call of Step Functions, otherwise as Call.
func (c *Client) CallStates(ctx context.Context, operation string, in, out any) error {
	return c.send(ctx, statesJSON, "/", operation, in, out)
}

// Post makes a call of the events or runtime service, otherwise as Call.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, restJSON, path, "", in, out)
}

func (c *Client) send(ctx context.Context, p protocol, path, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("building the request: %w", err)
	}
	req.Header.Set("Content-Type", p.contentType())
	if operation != "" {
		req.Header.Set("X-Amz-Target", p.targetPrefix()+operation)
	}
	signFor(p.service(), req, body, c.credential, c.region, time.Now())

	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("calling %s%s: %w", path, operation, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return responseError(resp, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// responseError reads a refusal from either protocol.
func responseError(resp *http.Response, body []byte) *Error {
	var stated struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &stated) != nil {
		stated.Message = http.StatusText(resp.StatusCode)
	}
	e := &Error{Code: stated.Type, Message: stated.Message, Status: resp.StatusCode}
	if code := resp.Header.Get("X-Amzn-Errortype"); code != "" {
		e.Code = code
	}
	// AWS may put a namespace before the code, and an address behind it.
	e.Code = e.Code[strings.LastIndexByte(e.Code, '#')+1:]
	e.Code, _, _ = strings.Cut(e.Code, ":")
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
