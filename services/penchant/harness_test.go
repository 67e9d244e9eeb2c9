package main

import (
	"testing"

	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

func TestMain(m *testing.M) { penchanttest.Main(m) }
