// Package brokertest damages a broker's data as failing disks do, for tests.
package brokertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// Positions of fields in a record batch, in bytes (Kafka protocol, "Record
// Batch").
const (
	lengthAt    = 8
	lastDeltaAt = 23
	headerBytes = 61
)

// Damage flips a bit in the batch that holds an offset, behind the batch's
// header, in the data directory of a broker of package broker or kfake. From
// then on every client rejects the batch, whose checksum is wrong. The broker
// must be running: a running broker serves the bytes that are on disk, whereas
// a broker that starts truncates its log at the first batch whose checksum is
// wrong.
func Damage(dir, topic string, partition int32, offset int64) error {
	path, err := segment(filepath.Join(dir, "partitions", fmt.Sprintf("%s-%d", url.PathEscape(topic), partition)), offset)
	if err != nil {
		return fmt.Errorf("damage %s/%d at offset %d: %w", topic, partition, offset, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("damage %s/%d at offset %d: %w", topic, partition, offset, err)
	}
	if err := errors.Join(damage(f, offset), f.Close()); err != nil {
		return fmt.Errorf("damage %s/%d at offset %d in %s: %w", topic, partition, offset, path, err)
	}
	return nil
}

// segment returns the path of the file in dir that holds an offset. A file is
// named after its first offset.
func segment(dir string, offset int64) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		return "", err
	}
	best := int64(-1)
	for _, file := range files {
		name := filepath.Base(file)
		first, err := strconv.ParseInt(name[:len(name)-len(".dat")], 10, 64)
		if err == nil && first <= offset {
			best = max(best, first)
		}
	}
	if best < 0 {
		return "", fmt.Errorf("no file in %s holds the offset: %v", dir, files)
	}
	return filepath.Join(dir, strconv.FormatInt(best, 10)+".dat"), nil
}

// damage flips a bit in the batch of f that holds offset.
func damage(f *os.File, offset int64) error {
	head := make([]byte, headerBytes)
	for at := int64(0); ; {
		if _, err := f.ReadAt(head, at); err != nil {
			return fmt.Errorf("the batch at byte %d: %w", at, err)
		}
		// Go on to the next batch until one ends at or behind the offset.
		first := int64(binary.BigEndian.Uint64(head))
		last := first + int64(binary.BigEndian.Uint32(head[lastDeltaAt:]))
		if offset > last {
			at += int64(binary.BigEndian.Uint32(head[lengthAt:])) + lengthAt + 4
			continue
		}
		// Flip the lowest bit of the first byte behind the header.
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at+headerBytes); err != nil {
			return fmt.Errorf("the records at byte %d: %w", at, err)
		}
		_, err := f.WriteAt([]byte{b[0] ^ 1}, at+headerBytes)
		return err
	}
}
