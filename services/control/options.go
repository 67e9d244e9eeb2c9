package control

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/penchant-io/penchant/services/control/crud"
)

// Options are the settings of the control plane, with the flags that they are given by.
type Options struct {
	AccountID string `default:"000000000000" help:"AWS account id in ARNs, 12 digits."`
	// Quotas that are zero take their defaults.
	Quotas crud.Quotas `placeholder:"NAME=N,…" help:"Quotas that differ from Amazon's: filters-per-group=50, separated by commas."`
	// Functions are the HTTP endpoints that stand for Lambda functions in workflows, by the function's name.
	Functions map[string]string `mapsep:"," help:"HTTP endpoints that stand for Lambda functions in workflows: name=http://host:port/path, separated by commas."`
	// WorkflowRetention is for how long a workflow's executions are kept after their end. 0: 90 days.
	WorkflowRetention time.Duration `default:"2160h" help:"For how long executions of workflows are kept after their end."`
}

// Validate returns an error that names the wrong setting and its rule.
func (o *Options) Validate() error {
	if len(o.AccountID) != 12 || strings.Trim(o.AccountID, "0123456789") != "" {
		return fmt.Errorf("--account-id %q: want 12 digits", o.AccountID)
	}
	if o.WorkflowRetention < 24*time.Hour {
		return fmt.Errorf(
			"--workflow-retention %s: must be at least 24h, since a scheduled execution may start late by as much",
			o.WorkflowRetention,
		)
	}
	for name, endpoint := range o.Functions {
		u, err := url.Parse(endpoint)
		if name == "" || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("--functions %s=%s: want name=http://host:port/path", name, endpoint)
		}
	}
	return nil
}
