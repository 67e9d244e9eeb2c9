package stack_test

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/model/modeltest"
)

func FuzzLoad(f *testing.F) { modeltest.FuzzLoad(f, "aws-user-personalization") }
