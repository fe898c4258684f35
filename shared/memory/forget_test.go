package memory_test

import (
	"testing"

	"footfall/shared/memory"
	"footfall/shared/storetest"
)

func TestForget(t *testing.T) {
	t.Run("identities", func(t *testing.T) { storetest.ForgetIdentities(t, memory.NewIdentities()) })
	t.Run("pending", func(t *testing.T) { storetest.ForgetPending(t, memory.NewPending()) })
	t.Run("counts", func(t *testing.T) { storetest.ForgetCounts(t, memory.NewCounts()) })
}
