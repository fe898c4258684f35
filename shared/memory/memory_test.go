package memory_test

import (
	"testing"

	"footfall/shared/memory"
	"footfall/shared/stage"
	"footfall/shared/storetest"
)

func TestVisitLog(t *testing.T) {
	storetest.VisitLog(t, func(*testing.T) stage.VisitLog { return memory.NewVisitLog() })
}

func TestIdentities(t *testing.T) {
	storetest.Identities(t, func(*testing.T) stage.Identities { return memory.NewIdentities() })
}

func TestPending(t *testing.T) {
	storetest.Pending(t, func(*testing.T) stage.Pending { return memory.NewPending() })
}

func TestCounts(t *testing.T) {
	storetest.Counts(t, func(*testing.T) stage.Counts { return memory.NewCounts() })
}

func TestBaseCount(t *testing.T) {
	storetest.BaseCount(t, memory.NewCounts())
}

func TestBusinesses(t *testing.T) {
	storetest.Businesses(t, func(*testing.T) storetest.BusinessStore { return memory.NewBusinesses() })
}
