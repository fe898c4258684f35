//go:build !synctests

package faults

const channelMutexes = false
