package recording

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// input is a file that can be read from its start as often as needed, with
// what was read of it counted.
type input struct {
	name  string
	file  *os.File
	size  int64
	done  atomic.Int64 // bytes, since the last rewind
	spool string       // of a file that is still to be removed, else ""
}

// stdinName stands for "-" in errors and positions.
const stdinName = "stdin"

// openInput opens a file, or stdin for "-". What can be read only once, stdin
// and pipes, is copied to a temporary file first: order has to be known before
// the first item is given.
func openInput(path string, stdin io.Reader) (*input, error) {
	if path == "-" {
		return spool(stdinName, stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path and what failed
	}
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

// spool copies r to a temporary file. The file may hold MAC addresses, so it
// loses its name at once, where the system allows that for an open file:
// nobody else can open it, and nothing remains however the process ends.
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

// rewind begins anew. Progress counts the last reading only.
func (in *input) rewind() error {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading %s from its start: %w", in.name, err)
	}
	in.done.Store(0)
	return nil
}

// Read reads on, for the decoders.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.file.Read(p)
	in.done.Add(int64(n))
	return n, err
}

func (in *input) close() error {
	err := in.file.Close()
	if in.spool != "" {
		err = errors.Join(err, os.Remove(in.spool))
	}
	return err
}
