package memory_test

import (
	"testing"

	"footfall/shared/memory"
	"footfall/shared/storetest"
)

func TestEachCount(t *testing.T) { storetest.EachCount(t, memory.NewCounts()) }
