package awsapi

import (
	"errors"
	"fmt"
	"strings"
)

// Credential is one access key.
type Credential struct {
	AccessKeyID string
	SecretKey   string
}

// String hides the secret, so that no log line or error holds it by accident.
func (c Credential) String() string { return c.AccessKeyID + ":***" }

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return c.String() }

// ParseCredentials reads "id:secret,id2:secret2". Errors name the position of a bad pair, never its text.
func ParseCredentials(s string) ([]Credential, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("no access keys: want id:secret, several separated by commas")
	}
	var credentials []Credential
	seen := map[string]bool{}
	for i, pair := range strings.Split(s, ",") {
		id, secret, found := strings.Cut(strings.TrimSpace(pair), ":")
		switch {
		case !found || id == "" || secret == "":
			return nil, fmt.Errorf("access key %d is not of the form id:secret", i+1)
		case strings.ContainsAny(id, "/ \t="):
			return nil, fmt.Errorf(
				"access key %d: its id holds a slash, a space or an equals sign, which signatures cannot carry", i+1,
			)
		case seen[id]:
			return nil, fmt.Errorf("access key %d repeats an earlier id", i+1)
		}
		seen[id] = true
		credentials = append(credentials, Credential{AccessKeyID: id, SecretKey: secret})
	}
	return credentials, nil
}
