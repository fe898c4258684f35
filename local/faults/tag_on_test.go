//go:build synctests

package faults

// channelMutexes reports whether the test was built with the tag synctests.
// With it, the Kafka client (franz-go, pkg/kgo/internal/xsync) uses mutexes
// that let a bubble's clock go on while a goroutine waits for one. The client
// holds some of its mutexes during requests, so without the tag a request that
// takes time would never end.
const channelMutexes = true
