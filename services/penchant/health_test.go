package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHealthAsksTheAdminAddress: where /healthz has an address of its own, the API's has none.
func TestHealthAsksTheAdminAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ready":true}`)
	}))
	defer server.Close()
	command := healthCmd{HTTPAddr: "127.0.0.1:1", AdminAddr: server.Listener.Addr().String()}
	if err := command.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
