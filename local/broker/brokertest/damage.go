// Package brokertest does to a broker's data what disks do, for tests.
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

// Where fields of a record batch lie (Kafka protocol, "Record Batch").
const (
	lengthAt    = 8
	lastDeltaAt = 23
	headerBytes = 61
)

// Damage flips a bit in the batch that holds an offset, behind its header, in
// the data directory of a broker of package broker or kfake. The broker must be
// running: it gives out what is on the disk as it is, while one that starts cuts
// its log off at the first batch whose checksum is wrong. Every client refuses
// the batch from then on.
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

// segment finds the file that holds an offset: files are named by their first
// one.
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
		return "", fmt.Errorf("no file in %s holds it: %v", dir, files)
	}
	return filepath.Join(dir, strconv.FormatInt(best, 10)+".dat"), nil
}

func damage(f *os.File, offset int64) error {
	head := make([]byte, headerBytes)
	for at := int64(0); ; {
		if _, err := f.ReadAt(head, at); err != nil {
			return fmt.Errorf("the batch at byte %d: %w", at, err)
		}
		first := int64(binary.BigEndian.Uint64(head))
		last := first + int64(binary.BigEndian.Uint32(head[lastDeltaAt:]))
		if offset > last {
			at += int64(binary.BigEndian.Uint32(head[lengthAt:])) + lengthAt + 4
			continue
		}
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at+headerBytes); err != nil {
			return fmt.Errorf("the records at byte %d: %w", at, err)
		}
		_, err := f.WriteAt([]byte{b[0] ^ 1}, at+headerBytes)
		return err
	}
}
