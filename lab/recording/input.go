package recording

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// input is a file that can be read from its start any number of times and
// counts the bytes read.
type input struct {
	name  string
	file  *os.File
	size  int64
	done  atomic.Int64 // bytes read since the last rewind
	spool string       // path of a temporary file that close must remove, else ""
}

// stdinName replaces "-" in errors and positions.
const stdinName = "stdin"

// openInput opens a file, or stdin for "-". Stdin and pipes can be read only
// once and are copied to a temporary file first: the whole file is scanned for
// its order before the first item is returned.
func openInput(path string, stdin io.Reader) (*input, error) {
	if path == "-" {
		return spool(stdinName, stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // the error names the path and the operation
	}
	// Refuse directories, copy pipes and devices.
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case info.IsDir():
		return nil, errors.Join(fmt.Errorf("%s: is a directory", path), f.Close())
	case !info.Mode().IsRegular():
		in, err := spool(path, f)
		return in, errors.Join(err, f.Close())
	}
	return &input{name: path, file: f, size: info.Size()}, nil
}

// spool copies r to a temporary file. The file may hold MAC addresses, so it is
// removed at once if the system allows that for an open file: no other process
// can open the file, and nothing remains however the process ends.
func spool(name string, r io.Reader) (*input, error) {
	f, err := os.CreateTemp("", "footfall-*")
	if err != nil {
		return nil, fmt.Errorf("%s: making a temporary copy: %w", name, err)
	}
	in := &input{name: name, file: f}
	if os.Remove(f.Name()) != nil {
		in.spool = f.Name()
	}
	if in.size, err = io.Copy(f, r); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: making a temporary copy: %w", name, err), in.close())
	}
	return in, nil
}

// rewind seeks to the start. Progress counts the latest reading only.
func (in *input) rewind() error {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading %s from its start: %w", in.name, err)
	}
	in.done.Store(0)
	return nil
}

// Read implements io.Reader for the decoders.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.file.Read(p)
	in.done.Add(int64(n))
	return n, err
}

// close closes the file and removes a temporary file that still has a name.
func (in *input) close() error {
	err := in.file.Close()
	if in.spool != "" {
		err = errors.Join(err, os.Remove(in.spool))
	}
	return err
}
