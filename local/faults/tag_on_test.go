//go:build synctests

package faults

// channelMutexes: with this tag the Kafka client (franz-go, pkg/kgo/internal/xsync)
// has mutexes that let the clock of a bubble go on while one is waited for. It
// holds some over requests; without, a request that takes time would take for ever.
const channelMutexes = true
