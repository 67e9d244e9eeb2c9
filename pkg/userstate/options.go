package userstate

import (
	"errors"
	"fmt"
	"net/url"
)

// Validate returns an error that names the wrong setting and its rule.
func (o *Options) Validate() error {
	if o.History < 1 || o.History > 10_000 {
		return fmt.Errorf("--user-history %d: must be between 1 and 10000", o.History)
	}
	return nil
}

// ValidateURL returns why Open could not take the URL, whatever listens there. The error does not repeat the URL, which
// may hold a password.
func ValidateURL(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || u.Host == "" && u.Scheme != "unix" {
		return errors.New("want redis://[user:password@]host:port[/db]")
	}
	client, _, err := newClient(rawURL, 0, false) // it dials nothing
	if err != nil {
		return fmt.Errorf("want redis://[user:password@]host:port[/db]: %w", err)
	}
	return client.Close()
}
