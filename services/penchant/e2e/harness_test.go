// Package e2e runs whole stories on whole processes: the binary, started as its users start it, or every service in
// this process. Whatever needs no process is tested beside its code.
package e2e

import (
	"testing"

	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// roleARN is a role, which Penchant stores and shows, and never assumes.
const roleARN = "arn:aws:iam::000000000000:role/unused-here"

func TestMain(m *testing.M) { penchanttest.Main(m) }
